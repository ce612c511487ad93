/** @file Scales a gradient down to a largest norm. It knows nothing about where the gradient came from. */

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

/**
 * Divides `gradient` by `divisor` (default 1) and scales it so that its norm is then at most `maxNorm`, in place and in one pass;
 * returns the norm after the division and before the scaling. The factor is `maxNorm / (norm + 1e-6)` and never above 1,
 * as in torch's clip_grad_norm_. A norm that is not finite leaves the gradient alone: the caller sees it and decides.
 * A `maxNorm` of Infinity only measures and divides.
 */
export const clipByNorm = (gradient: Float32Array, maxNorm: number, divisor = 1): number => {
  const norm = normOf(gradient) / divisor;
  const factor = Math.min(1, maxNorm / (norm + 1e-6)) / divisor;
  if (!Number.isFinite(norm) || factor === 1) return norm;
  for (let index = 0; index < gradient.length; index++) gradient[index] *= factor;
  return norm;
};
