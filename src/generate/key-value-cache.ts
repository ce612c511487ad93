/** @file Keys and values of the rows of a batch, which stay with the backend between runs. It knows nothing about programs. */
import type { Model } from "../models/index.ts";
import type { Backend, Resident, Store } from "../runtime/index.ts";

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

// Of a cache (B, K, capacity, D).
const placeAxis = 2;
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
    const [, heads, , size] = old.shape;
    residents[name] = await backend.allocate([rows, heads, capacity, size]);
    await backend.copy(old, residents[name], placeAxis);
    await backend.release(old);
  }
  return { rows, capacity, residents };
};

/** Where a run stores the new keys and values: those of the output's rows at these places, from a row of the cache on. */
export const storesAt = ({ residents }: KeyValueCache, offsets: readonly number[], row?: number): Store[] =>
  Object.entries(residents).map(([name, into]) => ({
    output: name.replace("past_", ""),
    into,
    axis: placeAxis,
    ...(row !== undefined && { row }),
    offsets,
  }));
