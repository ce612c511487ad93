/** @file The backend that tests hold others against: plain TypeScript, float32 results, no speed. */
import { operandsOf, weightOf, type Graph, type Tensor } from "../graph/index.ts";
import { f32, LowrankError, sizeOf, type HostTensor, type TypedArray } from "../util/index.ts";
import type { Backend, Executable } from "./backend.ts";
import { checkCopy, checkHost, checkRun, checkWrite, isResident } from "./host.ts";
import { readStored } from "./read-stored.ts";
import { createResidents } from "./residents.ts";

const readWeight = (tensor: Tensor): TypedArray | undefined => {
  const stored = weightOf(tensor);
  return stored === undefined ? undefined : readStored(stored.name, stored.location);
};

const evaluate = (order: readonly Tensor[], leaves: ReadonlyMap<Tensor, TypedArray>): Map<Tensor, HostTensor> => {
  const values = new Map<Tensor, HostTensor>();
  for (const tensor of order) {
    const { dtype, shape, op } = tensor;
    const data =
      leaves.get(tensor) ??
      op.reference(
        operandsOf(tensor).map((operand) => values.get(operand)!),
        tensor,
      );
    values.set(tensor, { dtype, shape, data });
  }
  return values;
};

const copy = ({ dtype, shape, data }: HostTensor): HostTensor => ({ dtype, shape, data: data.slice() });

/** A backend that evaluates each op by its record's plain-TypeScript rule. */
export const referenceBackend = (): Backend => {
  const residents = createResidents();
  let disposed = false;
  const checkAlive = (): void => {
    if (disposed) throw new LowrankError("backend-failed", "The backend has been disposed.");
  };
  const compile = (graph: Graph): Executable => {
    const weights = graph.order.flatMap((tensor): [Tensor, TypedArray][] => {
      const data = readWeight(tensor);
      return data === undefined ? [] : [[tensor, data]];
    });
    let closed = false;
    return {
      run: async (feeds, options = {}) => {
        checkAlive();
        if (closed) throw new LowrankError("invalid-argument", "A program was run after its disposal.");
        checkRun(graph, feeds, options);
        for (const { into } of options.store ?? []) residents.get(into);
        const leaves = new Map(weights);
        for (const [name, tensor] of graph.inputs) {
          const feed = feeds[name];
          leaves.set(tensor, (isResident(feed) ? residents.get(feed) : feed).data);
        }
        const values = evaluate(graph.order, leaves);
        // Copies, because a value may be the very array of a constant, a feed or a resident tensor.
        const outputs = Object.fromEntries(Object.entries(graph.outputs).map(([name, tensor]) => [name, copy(values.get(tensor)!)]));
        const { lend = [], into = {} } = options;
        for (const [name, memory] of Object.entries(into)) {
          memory.data.set(outputs[name].data as never);
          outputs[name] = memory;
        }
        const result = residents.settle(outputs, options);
        return { ...result.hosts, ...result.residents, ...Object.fromEntries(lend.map((name) => [name, feeds[name]])) };
      },
      dispose: async () => {
        closed = true;
      },
    };
  };
  return {
    name: "reference",
    compile: async (graph) => {
      checkAlive();
      return compile(graph);
    },
    upload: async (tensor) => {
      checkAlive();
      checkHost("The tensor", tensor);
      return residents.add(copy(tensor));
    },
    allocate: async (shape) => {
      checkAlive();
      return residents.add(f32(new Float32Array(sizeOf(shape)), shape));
    },
    write: async (into, row, tensor) => {
      checkAlive();
      checkWrite(into, row, tensor);
      residents.write(into, row, tensor);
    },
    copy: async (from, into, axis) => {
      checkAlive();
      checkCopy(from, into, axis);
      residents.copy(from, into, axis);
    },
    download: async (resident) => {
      checkAlive();
      return copy(residents.get(resident));
    },
    release: async (resident) => residents.release(resident),
    dispose: async () => {
      disposed = true;
    },
  };
};
