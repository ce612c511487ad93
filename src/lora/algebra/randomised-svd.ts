/** @file Singular triplets of a large matrix from a random basis and a fixed number of subspace iterations. It knows nothing about models. */
import type { Random } from "../../util/index.ts";
import type { Operator } from "./operator.ts";
import { qr } from "./qr.ts";
import { svd, truncate, type Svd } from "./svd.ts";
import { combine } from "./vectors.ts";

export interface RandomisedOptions {
  readonly rank: number;
  /** Subspace iterations: each costs two products and makes the error fall by (σ_{k+1}/σ_r)². */
  readonly iterations: number;
  /** Vectors beyond the rank. */
  readonly oversampling: number;
  readonly generator: Random;
}

/** Vectors of standard normal numbers. */
export const normalVectors = (count: number, length: number, generator: Random): Float64Array[] =>
  Array.from({ length: count }, () => Float64Array.from({ length }, () => generator.normal()));

/** The leading triplets, as near as the iterations bring them [Halko, Martinsson and Tropp 2011, alg. 4.4 and 5.1]. */
export const randomisedSvd = async (
  { inFeatures, outFeatures, forward, adjoint }: Operator,
  { rank, iterations, oversampling, generator }: RandomisedOptions,
): Promise<Svd> => {
  const count = Math.min(rank + oversampling, inFeatures, outFeatures);
  let { Q } = qr(await forward(normalVectors(count, inFeatures, generator)));
  for (let iteration = 0; iteration < iterations; iteration++) ({ Q } = qr(await forward(qr(await adjoint(Q)).Q)));
  // M ≈ Q·(Mᵀ·Q)ᵀ
  const { U, S, V } = svd(await adjoint(Q));
  return truncate({ U: combine(U, Q), S, V }, rank).svd;
};
