/** @file PEFT's default start: A ~ U(−1/√d_in, 1/√d_in), which is He et al. 2015 with a = √5, and B = 0, so that training starts at the base. */
import type { Initialisation } from "./initialisation.ts";

export const kaiming: Initialisation = {
  needs: "nothing",
  start: (A, _, { target, generator }) => {
    const bound = 1 / Math.sqrt(target.inFeatures);
    for (let index = 0; index < A.length; index++) A[index] = (2 * generator.uniform() - 1) * bound;
  },
};
