/** @file PiSSA: A and B begin as the principal part of W, which the frozen rest of the layer goes without [Meng et al. 2024]. */
import { leadingSvd } from "../algebra/leading-svd.ts";
import { randomisedSvd } from "../algebra/randomised-svd.ts";
import { needRank, type Initialisation } from "./initialisation.ts";
import { split } from "./split.ts";

// W = U·S·Vᵀ (out, in); s·(A·B)ᵀ = U_r·S_r·V_rᵀ   [eq. 2 and 3]
export const pissa: Initialisation = {
  needs: "weight",
  shifts: true,
  repeats: () => true,
  start: async (A, B, { operator, target, generator }) => {
    needRank(target);
    split(A, B, await leadingSvd(operator(), { rank: target.rank, generator }), target.scaling);
  },
};

/** PiSSA with as good a principal part as so many subspace iterations give, which takes less time and depends on the seed. */
export const fastPissa = (iterations: number): Initialisation => ({
  needs: "weight",
  shifts: true,
  start: async (A, B, { operator, target, generator }) => {
    needRank(target);
    split(A, B, await randomisedSvd(operator(), { rank: target.rank, iterations, oversampling: 0, generator }), target.scaling);
  },
});
