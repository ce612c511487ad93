/** @file The backend that tests hold others against: plain TypeScript, float32 results, no speed. */
import { closeSync, openSync, readSync } from "node:fs";
import { inputOf, weightOf, type Graph, type Tensor, type WeightLocation } from "../graph/index.ts";
import { dtypes, type HostTensor } from "../util/index.ts";
import type { Backend, Executable, Feed } from "./backend.ts";
import { checkFeeds, isResident, storeRows } from "./host.ts";

const readWeight = ({ path, offset, bytes, dtype }: WeightLocation): HostTensor["data"] => {
  const content = new Uint8Array(bytes);
  const file = openSync(path, "r");
  try {
    readSync(file, content, 0, bytes, offset);
  } finally {
    closeSync(file);
  }
  return new dtypes[dtype].array(content.buffer);
};

const evaluate = (graph: Graph, fed: ReadonlyMap<string, HostTensor>): Map<Tensor, HostTensor> => {
  const values = new Map<Tensor, HostTensor>();
  for (const tensor of graph.order) {
    const { dtype, shape, op } = tensor;
    const input = inputOf(tensor);
    const stored = weightOf(tensor);
    const leaf = input ? fed.get(input.name)!.data : stored && readWeight(stored.location);
    const data =
      leaf ??
      op.reference(
        tensor.inputs.map((operand) => values.get(operand)!),
        tensor,
      );
    values.set(tensor, { dtype, shape, data });
  }
  return values;
};

/** A backend that evaluates each op by its record's plain-TypeScript rule. */
export const referenceBackend = (): Backend => {
  const residents = new Map<number, HostTensor>();
  let next = 1;
  const upload = (tensor: HostTensor) => {
    const id = next++;
    residents.set(id, { ...tensor, data: tensor.data.slice() });
    return { id, dtype: tensor.dtype, shape: tensor.shape };
  };
  const compile = (graph: Graph): Executable => ({
    run: async (feeds, { keep = [], store = [] } = {}) => {
      checkFeeds(graph, feeds);
      const fed = new Map(Object.entries(feeds).map(([name, feed]) => [name, isResident(feed) ? residents.get(feed.id)! : feed]));
      const values = evaluate(graph, fed);
      const results: Record<string, Feed> = {};
      for (const [name, tensor] of Object.entries(graph.outputs)) {
        const stores = store.filter(({ output }) => output === name);
        for (const entry of stores) storeRows(values.get(tensor)!, residents.get(entry.into.id)!, entry);
        if (keep.includes(name)) results[name] = upload(values.get(tensor)!);
        else if (stores.length === 0) results[name] = values.get(tensor)!;
      }
      return results;
    },
    dispose: async () => {},
  });
  return {
    name: "reference",
    compile: async (graph) => compile(graph),
    upload: async (tensor) => upload(tensor),
    download: async ({ id }) => residents.get(id)!,
    release: async ({ id }) => {
      residents.delete(id);
    },
    dispose: async () => residents.clear(),
  };
};
