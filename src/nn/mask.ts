/** @file Additive attention masks from document numbers. It knows nothing about heads. */
import { and, constant, equal, reshape, scalar, slice, where, type Tensor } from "../graph/index.ts";

// Far below any score, and finite: a row that sees nothing gives equal weights instead of NaN.
const masked = -1e30;

/** The first key that query `start`, and so every later one, may see through a window of that many keys. */
export const firstKey = (start: number, window: number): number => Math.max(0, start - window + 1);

/**
 * Causal mask within documents: 0 where i − window < j ≤ i for query i and key j and both belong to one document, −1e30 elsewhere.
 * segments (B, T) int32 numbers the documents of a row; result (B, 1, end − start, end − first) with first = firstKey(start, window).
 */
export const documentMask = (segments: Tensor, start: number, end: number, window = Infinity): Tensor => {
  const [B] = segments.shape;
  const first = firstKey(start, window);
  const rows = end - start;
  const columns = end - first;
  const queries = reshape(slice(segments, 1, start, end), [B, 1, rows, 1]);
  const keys = reshape(slice(segments, 1, first, end), [B, 1, 1, columns]);
  const seen = Uint8Array.from({ length: rows * columns }, (_, index) => {
    const distance = start + Math.floor(index / columns) - (first + (index % columns));
    return Number(distance >= 0 && distance < window);
  });
  return where(and(equal(queries, keys), constant({ dtype: "bool", shape: [1, 1, rows, columns], data: seen })), scalar(0), scalar(masked));
};
