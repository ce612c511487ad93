/** @file Tensors that stay with a backend between runs: outputs that are kept, and rows that are copied into them. It knows nothing about who computes. */
import { LowrankError, sizeOf, type HostTensor } from "../util/index.ts";
import type { Resident, RunOptions, Store } from "./backend.ts";
import { beginnings } from "./host.ts";

/** What a run gives: outputs that go back to the caller and outputs that stay. */
export interface RunResult {
  readonly hosts: Record<string, HostTensor>;
  readonly residents: Record<string, Resident>;
}

export interface Residents {
  /** Takes a tensor over; whoever gives it must not change it any more. */
  add(tensor: HostTensor): Resident;
  /** Throws `invalid-argument` after the release. */
  get(resident: Pick<Resident, "id">): HostTensor;
  /** Copies a tensor over one row; it has been checked. */
  write(resident: Pick<Resident, "id">, row: number, tensor: HostTensor): void;
  /** Copies one over the beginning of another; both have been checked. */
  copy(from: Pick<Resident, "id">, into: Pick<Resident, "id">, axis: number): void;
  release(resident: Pick<Resident, "id">): void;
  /** Releases all of them. */
  clear(): void;
  /** Stores, keeps or hands back each output; the stores have been checked. */
  settle(outputs: Readonly<Record<string, HostTensor>>, options: RunOptions): RunResult;
}

export const createResidents = (): Residents => {
  const tensors = new Map<number, HostTensor>();
  let next = 1;
  const add = (tensor: HostTensor): Resident => {
    const id = next++;
    tensors.set(id, tensor);
    return { id, dtype: tensor.dtype, shape: tensor.shape };
  };
  const get: Residents["get"] = ({ id }) => {
    const tensor = tensors.get(id);
    if (tensor === undefined) throw new LowrankError("invalid-argument", "A resident tensor was used after its release.");
    return tensor;
  };
  return {
    add,
    get,
    write: (resident, row, { data }) => get(resident).data.set(data as never, row * data.length),
    copy: (from, into, axis) => {
      const source = get(from);
      storeRows(source, get(into), { axis, offsets: beginnings(source) });
    },
    release: ({ id }) => void tensors.delete(id),
    clear: () => tensors.clear(),
    settle: (outputs, { keep = [], store = [] }) => {
      for (const entry of store) storeRows(outputs[entry.output], get(entry.into), entry);
      const stored = new Set(store.map(({ output }) => output));
      const result: RunResult = { hosts: {}, residents: {} };
      for (const [name, tensor] of Object.entries(outputs))
        if (keep.includes(name)) result.residents[name] = add(tensor);
        else if (!stored.has(name)) result.hosts[name] = tensor;
      return result;
    },
  };
};

/** Copies `source` into `target` from a row on, at one offset along the axis in which they differ for each leading entry. */
export const storeRows = (
  source: HostTensor,
  target: HostTensor,
  { axis, row: first = 0, offsets }: Pick<Store, "axis" | "row" | "offsets">,
): void => {
  const inner = sizeOf(source.shape.slice(axis + 1));
  const [from, to] = [source.shape[axis] * inner, target.shape[axis] * inner];
  const middle = sizeOf(source.shape.slice(1, axis));
  for (let row = 0; row < source.shape[0]; row++)
    for (let block = 0; block < middle; block++) {
      const [index, place] = [row * middle + block, (first + row) * middle + block];
      target.data.set(source.data.subarray(index * from, (index + 1) * from) as never, place * to + offsets[row] * inner);
    }
};
