/** @file How many bytes a program's values take at once while ONNX Runtime runs it. It runs nothing. */
import { operandsOf, weightOf, type Graph, type Tensor } from "../graph/index.ts";
import { dtypes, sizeOf } from "../util/index.ts";
import { packs } from "./emit.ts";

const bytesOf = ({ dtype, shape }: Tensor): number => sizeOf(shape) * dtypes[dtype].bytes;

const isComputed = (tensor: Tensor): boolean => operandsOf(tensor).length > 0;

/**
 * The order in which ONNX Runtime executes nodes: depth first from the last output to the first, and from a node's last made operand to its
 * first made one, each node after its operands.
 */
const executionOrder = ({ order, outputs }: Graph): Tensor[] => {
  const place = new Map(order.map((tensor, index) => [tensor, index]));
  const executed: Tensor[] = [];
  const visited = new Set<Tensor>();
  const stack: { readonly tensor: Tensor; readonly isLeft: boolean }[] = Object.values(outputs).map((tensor) => ({
    tensor,
    isLeft: false,
  }));
  while (stack.length > 0) {
    const { tensor, isLeft } = stack.pop()!;
    if (isLeft) executed.push(tensor);
    else if (!visited.has(tensor)) {
      visited.add(tensor);
      stack.push({ tensor, isLeft: true });
      const operands = operandsOf(tensor).filter((operand) => !visited.has(operand));
      for (const operand of operands.toSorted((a, b) => place.get(a)! - place.get(b)!)) stack.push({ tensor: operand, isLeft: false });
    }
  }
  return executed;
};

interface Buffer {
  readonly bytes: number;
  /** What values must have in common with the first one to take the memory over. */
  readonly kind: string;
  readonly start: number;
  /** Uses of its values that are still to come. */
  uses: number;
  /** After which op it was last freed. */
  end: number;
}

const kindOf = ({ dtype, shape }: Tensor): string => `${dtypes[dtype].bytes}|${shape.join()}`;

/**
 * The most bytes that the buffers of computed values take at once, as ONNX Runtime plans them before it runs a program: a value is put into an
 * operand's memory where it may be, else into the memory of a value of its very shape that nothing needs any longer, else into its own; and a buffer
 * that is taken over later is kept until then. Weights and inputs do not count.
 */
export const plannedBytes = (graph: Graph): number => {
  const executed = executionOrder(graph);
  const outputs = new Set(Object.values(graph.outputs));
  const uses = new Map<Tensor, number>();
  const use = (tensor: Tensor): void => void uses.set(tensor, (uses.get(tensor) ?? 0) + 1);
  for (const tensor of executed) for (const operand of operandsOf(tensor)) use(operand);
  for (const output of outputs) use(output);
  const buffers: Buffer[] = [];
  const bufferOf = new Map<Tensor, Buffer>();
  const free = new Map<string, Buffer[]>();

  const bufferFor = (tensor: Tensor, index: number): Buffer | undefined => {
    const operands = operandsOf(tensor);
    if (tensor.op.isView === true) return bufferOf.get(operands[0]);
    const kind = kindOf(tensor);
    // The caller gets the memory of outputs.
    if (!outputs.has(tensor)) {
      const isLastUse = (operand: Tensor): boolean => bufferOf.get(operand)?.uses === 1 && kindOf(operand) === kind;
      const last = tensor.op.inPlace?.find((place) => isLastUse(operands[place]));
      const taken = last === undefined ? free.get(kind)?.pop() : bufferOf.get(operands[last]);
      if (taken !== undefined) return taken;
    }
    const made: Buffer = { bytes: bytesOf(tensor), kind, start: index, uses: 0, end: Infinity };
    buffers.push(made);
    return made;
  };
  executed.forEach((tensor, index) => {
    if (!isComputed(tensor)) return;
    const buffer = bufferFor(tensor, index);
    if (buffer !== undefined) {
      bufferOf.set(tensor, buffer);
      buffer.uses += uses.get(tensor) ?? 0;
    }
    for (const operand of operandsOf(tensor)) {
      const read = bufferOf.get(operand);
      if (read === undefined || --read.uses > 0) continue;
      read.end = index;
      const others = free.get(read.kind) ?? [];
      others.push(read);
      free.set(read.kind, others);
    }
  });

  const changes = new Float64Array(executed.length + 1);
  for (const { bytes, start, end } of buffers) {
    changes[start] += bytes;
    changes[Math.min(end + 1, executed.length)] -= bytes;
  }
  let [live, most] = [0, 0];
  for (const change of changes) most = Math.max(most, (live += change));
  return most;
};

/** The bytes of the weights that a program maps. */
export const mappedBytes = ({ order }: Graph): number =>
  order.reduce((total, tensor) => total + (weightOf(tensor)?.location.bytes ?? 0), 0);

/** The bytes of copies that ONNX Runtime keeps beside mapped weights: where it packs them, of those that ops of another kind read as well. */
export const packedBytes = (graph: Graph): number => {
  if (!packs(graph)) return 0;
  const readers = new Map<Tensor, Set<Tensor["op"]>>();
  for (const tensor of graph.order)
    for (const operand of operandsOf(tensor)) readers.set(operand, (readers.get(operand) ?? new Set()).add(tensor.op));
  return [...readers].reduce((total, [tensor, kinds]) => total + (kinds.size > 1 ? (weightOf(tensor)?.location.bytes ?? 0) : 0), 0);
};
