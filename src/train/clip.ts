/** @file By what a gradient is scaled down to a largest norm. It knows nothing about where the gradient came from. */

/** The Euclidean norm, summed in float64. */
const normOf = (vector: Float32Array): number => {
  let even = 0;
  let odd = 0; // two sums, so that the additions overlap
  const paired = vector.length & ~1;
  for (let index = 0; index < paired; index += 2) {
    even += vector[index] * vector[index];
    odd += vector[index + 1] * vector[index + 1];
  }
  if (paired < vector.length) odd += vector[paired] * vector[paired];
  return Math.sqrt(even + odd);
};

export interface Clipping {
  /** The norm after the division and before clipping. */
  readonly norm: number;
  /** What the gradient is to be multiplied with, which divides it and clips it at once. Of no use where the norm is not finite. */
  readonly factor: number;
}

/**
 * How a gradient is divided by `divisor` (default 1) and then scaled so that its norm is at most `maxNorm`; it is only read. Clipping multiplies
 * with `maxNorm / (norm + 1e-6)` and never with more than 1, as in torch's clip_grad_norm_; a `maxNorm` of Infinity does not clip.
 */
export const clippingOf = (gradient: Float32Array, maxNorm: number, divisor = 1): Clipping => {
  const norm = normOf(gradient) / divisor;
  return { norm, factor: Math.min(1, maxNorm / (norm + 1e-6)) / divisor };
};
