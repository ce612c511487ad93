/**
 * @file LoftQ: A and B begin as the best correction of what rounding took from W, for a base that is held in fewer bits [Li et al. 2024].
 * What is trained belongs to the rounded base; beside the exact one it adds what rounding had taken. The base stays as it was rounded, so this is the paper's algorithm with T = 1; from T = 2 on it rounds W − s·A·B, which is another base.
 */
import { leadingSvd } from "../algebra/leading-svd.ts";
import { needRank, type Initialisation } from "./initialisation.ts";
import { split } from "./split.ts";

/** What is left over is noise, whose triplets lie close together: finer ones would correct no more of it. */
const tolerance = 1e-3;

export const loftq: Initialisation = {
  needs: "rounding",
  // s·(A·B)ᵀ = U_r·S_r·V_rᵀ of W − q(W)   [alg. 1, lines 3 and 4]
  start: async (A, B, { roundingError, target, generator }) => {
    needRank(target);
    split(A, B, await leadingSvd(await roundingError(), { rank: target.rank, tolerance, generator }), target.scaling);
  },
};
