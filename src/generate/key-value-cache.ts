/** @file Keys and values of the rows of a batch, which stay with the backend between runs. It knows nothing about programs. */
import type { Model } from "../models/index.ts";
import type { Backend, Resident, Store } from "../runtime/index.ts";
import { f32, sizeOf } from "../util/index.ts";

export interface KeyValueCache {
  readonly rows: number;
  /** Places of each row. */
  readonly capacity: number;
  /** past_key.l and past_value.l of each layer: (B, K, capacity, D). */
  readonly residents: Readonly<Record<string, Resident>>;
}

const smallestBucket = 16;

/** The smallest power of two that holds `count`: few sizes, so few programs. */
export const bucketOf = (count: number): number => 2 ** Math.ceil(Math.log2(Math.max(count, smallestBucket)));

/** Places for `count` tokens in four sizes an octave: a step reads all places, so fewer of them are worth a few more programs. */
export const placesOf = (count: number): number => {
  const quarter = Math.max(bucketOf(count) / 8, smallestBucket);
  return Math.ceil(Math.max(count, smallestBucket) / quarter) * quarter;
};

const kinds = ["past_key", "past_value"];

/** An empty cache of `rows` rows. */
export const allocateCache = async (
  backend: Backend,
  { layers, cache: { heads, headSize } }: Model,
  rows: number,
  capacity: number,
): Promise<KeyValueCache> => {
  const residents: Record<string, Resident> = {};
  for (let layer = 0; layer < layers; layer++)
    for (const kind of kinds) residents[`${kind}.${layer}`] = await backend.allocate([rows, heads, capacity, headSize]);
  return { rows, capacity, residents };
};

export const releaseCache = async (backend: Backend, { residents }: KeyValueCache): Promise<void> => {
  for (const resident of Object.values(residents)) await backend.release(resident);
};

/** The same rows in a cache that is larger, which takes the place of the smaller one. */
export const growCache = async (
  backend: Backend,
  from: KeyValueCache,
  { rows = from.rows, capacity = from.capacity }: Partial<Pick<KeyValueCache, "rows" | "capacity">>,
): Promise<KeyValueCache> => {
  const residents: Record<string, Resident> = {};
  for (const [name, old] of Object.entries(from.residents)) {
    const { data } = await backend.download(old);
    const [, heads, , size] = old.shape;
    const shape = [rows, heads, capacity, size];
    const grown = new Float32Array(sizeOf(shape));
    const width = from.capacity * size;
    for (let block = 0; block < from.rows * heads; block++)
      grown.set((data as Float32Array).subarray(block * width, (block + 1) * width), block * capacity * size);
    residents[name] = await backend.upload(f32(grown, shape));
    await backend.release(old);
  }
  return { rows, capacity, residents };
};

/** Where a run stores the new keys and values: those of the output's rows at these places, from a row of the cache on. */
export const storesAt = ({ residents }: KeyValueCache, offsets: readonly number[], row?: number): Store[] =>
  Object.entries(residents).map(([name, into]) => ({
    output: name.replace("past_", ""),
    into,
    axis: 2,
    ...(row !== undefined && { row }),
    offsets,
  }));
