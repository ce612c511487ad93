/** @file Who sees whom in rows of tokens, as additive attention masks from document numbers. It knows nothing about heads. */
import { constant, equal, reshape, scalar, slice, where, type Tensor } from "../graph/index.ts";
import { f32 } from "../util/index.ts";

/** Made once for the tokens of a program; attention asks it block by block. */
export interface Mask {
  /** The keys that queries `start … end − 1` may see through a window of so many keys: from the first to before the last. */
  keys(start: number, end: number, window: number): readonly [first: number, end: number];
  /** 0 where a query sees a key and −1e30 elsewhere: (B, 1, end − start, keys). */
  bias(start: number, end: number, window: number): Tensor;
}

/** What is added to the score of a key that is not seen: far below any score, and finite, so that a row that sees nothing gives equal weights. */
export const hiddenScore = -1e30;

/** What is added by distance: row i sees column `own + i`, its own key, and those before it within the window. */
const distanceBias = (rows: number, columns: number, own: number, window: number): Float32Array =>
  Float32Array.from({ length: rows * columns }, (_, index) => {
    const distance = own + Math.floor(index / columns) - (index % columns);
    return distance >= 0 && distance < window ? 0 : hiddenScore;
  });

const hidden = (seen: Tensor): Tensor => where(seen, scalar(0), scalar(hiddenScore));

// Whether queries and keys, each of a part of their rows, are of one document: (B, 1, rows, columns).
const sameDocument = (queries: Tensor, keys: Tensor): Tensor => {
  const [[B, rows], [, columns]] = [queries.shape, keys.shape];
  return equal(reshape(queries, [B, 1, rows, 1]), reshape(keys, [B, 1, 1, columns]));
};

/** Each token sees itself and those before it in its document, at most `window` in all; segments (B, T) int32 numbers the documents of a row. */
export const causalMask = (segments: Tensor): Mask => {
  const T = segments.shape[1];
  const quarter = Math.ceil(T / 4);
  // From the first key that query `start`, and so every later one, may see; to a quarter of the row, because the runtime keeps buffers for each size that there is.
  const keys: Mask["keys"] = (start, end, window) => [Math.max(0, start - window + 1), Math.min(Math.ceil(end / quarter) * quarter, T)];
  // Who sees whom by distance alone, for blocks of so many rows: each block reads its own columns, of which the first stands for the farthest key before it.
  const tables = new Map<string, Tensor>();
  const tableOf = (rows: number, window: number): Tensor => {
    const columns = T + rows + quarter;
    const table = tables.get(`${rows} ${window}`) ?? constant(f32(distanceBias(rows, columns, T, window), [1, 1, rows, columns]));
    tables.set(`${rows} ${window}`, table);
    return table;
  };
  return {
    keys,
    bias: (start, end, window) => {
      const [first, last] = keys(start, end, window);
      const far = T - (start - first);
      const seen = slice(tableOf(end - start, window), 3, far, far + last - first);
      return where(sameDocument(slice(segments, 1, start, end), slice(segments, 1, first, last)), seen, scalar(hiddenScore));
    },
  };
};

/** Each token sees all tokens of its document: before and behind it, or those of other rows, whose segments are `seen` (B, S) int32. */
export const fullMask = (segments: Tensor, seen: Tensor = segments): Mask => ({
  keys: () => [0, seen.shape[1]],
  bias: (start, end) => hidden(sameDocument(slice(segments, 1, start, end), seen)),
});
