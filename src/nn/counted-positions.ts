/** @file Positions that are counted over the tokens that are no padding, told by their id. It knows nothing about tables. */
import { add, cast, constant, equal, gather, integers, matmul, multiply, reshape, scalar, subtract, type Tensor } from "../graph/index.ts";
import { f32 } from "../util/index.ts";

const range = (count: number, step = 1): BigInt64Array => BigInt64Array.from({ length: count }, (_, index) => BigInt(index * step));

/**
 * `padding` where a token has that id, and elsewhere `padding` plus the number of other tokens from its document's first to itself:
 * ids (B, T) int32 and positions within documents (B, T) int64 give (B, T) int64.
 */
export const countedPositions = (ids: Tensor, positions: Tensor, padding: number): Tensor => {
  const [B, T] = ids.shape;
  const counts = subtract(scalar(1), cast(equal(ids, integers([padding])), "f32")); // (B, T)
  const earlier = f32(
    Float32Array.from({ length: T * T }, (_, index) => Number(Math.floor(index / T) < index % T)),
    [T, T],
  );
  const before = matmul(counts, constant(earlier)); // (B, T): tokens of the row before this one
  const columns = subtract(constant({ dtype: "i64", shape: [1, T], data: range(T) }), positions); // where the document begins
  const starts = add(constant({ dtype: "i64", shape: [B, 1], data: range(B, T) }), columns);
  const within = add(subtract(before, gather(reshape(before, [B * T]), starts)), counts);
  return cast(add(multiply(counts, within), scalar(padding)), "i64");
};
