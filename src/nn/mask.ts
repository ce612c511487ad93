/** @file Additive attention masks from document numbers. It knows nothing about heads. */
import { and, constant, equal, reshape, scalar, slice, where, type Tensor } from "../graph/index.ts";

// Far below any score, and finite: a row that sees nothing gives equal weights instead of NaN.
const masked = -1e30;

/**
 * Causal mask within documents: 0 where key j ≤ query i and both belong to one document, −1e30 elsewhere.
 * segments (B, T) int32 numbers the documents of a row; result (B, 1, end − start, end).
 */
export const documentMask = (segments: Tensor, start: number, end: number): Tensor => {
  const [B] = segments.shape;
  const rows = end - start;
  const queries = reshape(slice(segments, 1, start, end), [B, 1, rows, 1]);
  const keys = reshape(slice(segments, 1, 0, end), [B, 1, 1, end]);
  const earlier = Uint8Array.from({ length: rows * end }, (_, index) => Number(index % end <= start + Math.floor(index / end)));
  const causal = constant({ dtype: "bool", shape: [1, 1, rows, end], data: earlier });
  return where(and(equal(queries, keys), causal), scalar(0), scalar(masked));
};
