/**
 * @file LoraHub's composition (Σ wᵢAᵢ)(Σ wᵢsᵢBᵢ) [Huang et al. 2023, eq. 1]: every weight counts in both factors, and the product has cross terms.
 * It knows nothing about how the weights were found.
 */
import { LowrankError } from "../../util/index.ts";
import { addScaled, type Vectors } from "../algebra/vectors.ts";
import type { Method } from "./method.ts";

const weightedSum = (factors: readonly Vectors[], weights: readonly number[]): Float64Array[] =>
  factors[0].map((vector, place) => {
    const sum = new Float64Array(vector.length);
    factors.forEach((vectors, index) => addScaled(sum, weights[index], vectors[place]));
    return sum;
  });

export const lorahub: Method = (terms, { module }) => {
  const ranks = new Set(terms.map(({ a }) => a.length));
  if (ranks.size > 1)
    throw new LowrankError(
      "invalid-argument",
      `The adapters have the ranks ${[...ranks].join(", ")} here, and factors are added at one rank.`,
      {
        where: module,
        fix: "Use cat or svd.",
      },
    );
  return {
    a: weightedSum(
      terms.map(({ a }) => a),
      terms.map(({ weight }) => weight),
    ),
    b: weightedSum(
      terms.map(({ b }) => b),
      terms.map(({ weight, scaling }) => weight * scaling),
    ),
  };
};
