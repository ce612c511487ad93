/** @file The adapter of a rank that is nearest to the sum of others [Eckart and Young 1936], from the factors alone. It knows nothing about modules. */
import { balancedFactors, productSvd, truncate } from "../algebra/svd.ts";
import type { Method } from "./method.ts";
import { sumOfTerms } from "./term.ts";

export const svdMethod: Method = (terms, { rank }) => {
  const { a, b } = sumOfTerms(terms);
  return balancedFactors(truncate(productSvd(a, b), rank).svd);
};
