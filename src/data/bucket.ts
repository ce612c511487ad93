/** @file Groups examples of similar length, so that few lengths serve all of them with little padding. It knows nothing about tokens. */

// Each length is a program of its own to compile, so there are few; three quarters and three eighths halve the padding.
const shares = [1 / 4, 3 / 8, 1 / 2, 3 / 4, 1];
const step = 16;

/** At most five lengths, multiples of 16 but for `maxLength`, the last of which holds the longest example. */
export const bucketLengths = (longest: number, maxLength: number): number[] => {
  const rounded = shares.map((share) => Math.min(Math.ceil((longest * share) / step) * step, maxLength));
  return [...new Set(rounded)];
};

/** The shortest of few row lengths, 16, 24, 32, 48, 64, 96 …, that holds `longest` tokens: at most half as many again are padding. */
export const rowLength = (longest: number): number => {
  const power = 2 ** Math.ceil(Math.log2(Math.max(longest, step)));
  return longest > step && longest <= 0.75 * power ? 0.75 * power : power;
};

export interface Bucket {
  readonly length: number;
  readonly indices: readonly number[];
}

/**
 * Batches of `batchSize` indices in the given order, each of one length. What fills no batch moves to the next longer bucket,
 * so that only the very last batch can be incomplete.
 */
export const bucketBatches = (
  order: Iterable<number>,
  lengthOf: (index: number) => number,
  lengths: readonly number[],
  batchSize: number,
): Bucket[] => {
  const buckets: number[][] = lengths.map(() => []);
  for (const index of order) buckets[lengths.findIndex((length) => lengthOf(index) <= length)].push(index);
  const batches: Bucket[] = [];
  let left: number[] = [];
  for (const [bucket, length] of lengths.entries()) {
    const indices = [...left, ...buckets[bucket]];
    const last = bucket === lengths.length - 1;
    const whole = last ? indices.length : indices.length - (indices.length % batchSize);
    for (let start = 0; start < whole; start += batchSize)
      batches.push({ length, indices: indices.slice(start, Math.min(start + batchSize, whole)) });
    left = indices.slice(whole);
  }
  return batches;
};
