/** @file The adapter of a rank, or of the smallest rank that keeps a share of the energy, that is nearest to the sum of others [Eckart and Young 1936], from the factors alone. It knows nothing about modules. */
import { balancedFactors, productSvd, rankOf, truncate } from "../algebra/svd.ts";
import type { Method } from "./method.ts";
import { sumOfTerms } from "./term.ts";

export const svdMethod: Method = (terms, { rank, energy }) => {
  const { a, b } = sumOfTerms(terms);
  const whole = productSvd(a, b);
  return balancedFactors(truncate(whole, Math.min(rank, rankOf(whole.S, energy))).svd);
};
