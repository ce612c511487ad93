/** @file Learnt biases on attention scores by the distance between key and query [Raffel et al. 2020, §2.1]. It knows nothing about masks. */
import { add, constant, gather, reshape, subtract, transpose, type Tensor } from "../graph/index.ts";
import { i32 } from "../util/index.ts";

/**
 * What attention adds to the scaled scores of each head: for queries at positions (B, T) and keys at positions (B, S), int64 and less than
 * `reach` apart, (B, H, T, S). One function serves all layers that share the bias.
 */
export type PositionBias = (queries: Tensor, keys: Tensor, reach: number) => Tensor;

export interface Buckets {
  readonly count: number;
  /** Distances from here on share a bucket. */
  readonly maxDistance: number;
  /** Whether keys behind the query have buckets of their own; otherwise they count as the query itself. */
  readonly bothWays: boolean;
}

/** The bucket of a key `offset` positions behind its query: near distances have one each, farther ones share them by their logarithm. */
export const bucketOf = (offset: number, { count, maxDistance, bothWays }: Buckets): number => {
  const side = bothWays ? Math.floor(count / 2) : count;
  const base = bothWays && offset > 0 ? side : 0;
  const distance = bothWays ? Math.abs(offset) : Math.max(-offset, 0);
  const exact = Math.floor(side / 2);
  if (distance < exact) return base + distance;
  const share = Math.log(distance / exact) / Math.log(maxDistance / exact);
  return base + Math.min(exact + Math.floor(share * (side - exact)), side - 1);
};

/** The biases of a table (buckets, H), one row for each bucket of distances. */
export const bucketedBias =
  (table: Tensor, buckets: Buckets): PositionBias =>
  (queries, keys, reach) => {
    const [[B, T], [, S]] = [queries.shape, keys.shape];
    const ofOffset = Int32Array.from({ length: 2 * reach - 1 }, (_, index) => bucketOf(index - (reach - 1), buckets));
    const zero = constant({ dtype: "i64", shape: [], data: BigInt64Array.of(BigInt(reach - 1)) });
    const offsets = subtract(reshape(keys, [B, 1, S]), reshape(queries, [B, T, 1])); // (B, T, S)
    const chosen = gather(constant(i32(ofOffset)), add(offsets, zero)); // (B, T, S)
    return transpose(gather(table, chosen), [0, 3, 1, 2]); // (B, H, T, S)
  };
