/** @file Checks that backends share: what is fed fits the program, and rows copied into resident tensors stay inside them. */
import type { Graph } from "../graph/index.ts";
import { LowrankError, sizeOf, type HostTensor, type TypedArray } from "../util/index.ts";
import type { Feed, Resident, Store } from "./backend.ts";

export const isResident = (feed: Feed): feed is Resident => "id" in feed;

/** Throws `invalid-argument` for an input that is missing, unknown, or of another type than the program's. */
export const checkFeeds = ({ inputs }: Pick<Graph, "inputs">, feeds: Readonly<Record<string, Feed>>): void => {
  for (const [name, { dtype, shape }] of inputs) {
    const feed = feeds[name];
    if (feed === undefined) throw new LowrankError("invalid-argument", `The input "${name}" is not fed.`);
    if (feed.dtype !== dtype || feed.shape.join() !== shape.join())
      throw new LowrankError(
        "invalid-argument",
        `The input "${name}" is ${dtype} [${shape.join(", ")}], not ${feed.dtype} [${feed.shape.join(", ")}].`,
      );
    if (!isResident(feed) && feed.data.length !== sizeOf(shape))
      throw new LowrankError(
        "invalid-argument",
        `The input "${name}" has ${feed.data.length} values where its shape takes ${sizeOf(shape)}.`,
      );
  }
  for (const name of Object.keys(feeds))
    if (!inputs.has(name)) throw new LowrankError("invalid-argument", `The program has no input "${name}".`);
};

/** Copies `source` into `target`, which agree in all axes but one, at one offset along it for each leading entry. */
export const storeRows = (
  source: HostTensor,
  target: { shape: readonly number[]; data: TypedArray },
  { axis, offsets, output }: Store,
): void => {
  const fits =
    axis > 0 &&
    source.shape.length === target.shape.length &&
    source.shape.every((size, index) => index === axis || size === target.shape[index]) &&
    offsets.length === source.shape[0] &&
    offsets.every((offset) => offset >= 0 && offset + source.shape[axis] <= target.shape[axis]);
  if (!fits)
    throw new LowrankError(
      "invalid-argument",
      `The output "${output}" [${source.shape.join(", ")}] does not fit into [${target.shape.join(", ")}] at ${offsets.join(", ")} along axis ${axis}.`,
    );
  const inner = sizeOf(source.shape.slice(axis + 1));
  const [from, to] = [source.shape[axis] * inner, target.shape[axis] * inner];
  const middle = sizeOf(source.shape.slice(1, axis));
  for (let row = 0; row < source.shape[0]; row++)
    for (let block = 0; block < middle; block++) {
      const index = row * middle + block;
      target.data.set(source.data.subarray(index * from, (index + 1) * from) as never, index * to + offsets[row] * inner);
    }
};
