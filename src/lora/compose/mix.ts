/** @file Two ways to mix tensors of one shape by weights: their sum, and the mean of those that agree on a sign. It knows nothing about adapters. */

/** Σ wᵢ·tᵢ for t of one length; where a way elects signs, `signs` says whether sizes or heads count. */
export type Mix = (tensors: readonly Float32Array[], weights: readonly number[], signs: SignElection) => Float32Array;

/** Whether the sign of a sum is elected by the elements' sizes or by their number. */
export type SignElection = "total" | "frequency";

/** Σ wᵢ·tᵢ: task arithmetic [Ilharco et al. 2023]. */
export const sumOf: Mix = (tensors, weights) =>
  tensors[0].map((_, index) => tensors.reduce((sum, tensor, which) => sum + weights[which] * tensor[index], 0));

/**
 * At each place the sum of w·t over the tensors with the elected sign, divided by their number [Yadav et al. 2023, alg. 1: TIES].
 * The sign is elected before the weights count, and zero is no sign; both as in PEFT.
 */
export const agreeingMean: Mix = (tensors, weights, signs) => {
  const voteOf = signs === "total" ? (value: number): number => value : Math.sign;
  return tensors[0].map((_, index) => {
    const elected = tensors.reduce((sum, tensor) => sum + voteOf(tensor[index]), 0) >= 0 ? 1 : -1;
    let [sum, count] = [0, 0];
    tensors.forEach((tensor, which) => {
      if (Math.sign(tensor[index]) !== elected) return;
      sum += weights[which] * tensor[index];
      count += 1;
    });
    return sum / Math.max(count, 1);
  });
};
