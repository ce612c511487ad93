/** @file PEFT's "gaussian" start: A ~ N(0, 1/r²) and B = 0 [Hu et al. 2021, §4.1]. */
import type { Initialisation } from "./initialisation.ts";

export const gaussian: Initialisation = {
  needs: "nothing",
  start: (A, _, { target, generator }) => {
    for (let index = 0; index < A.length; index++) A[index] = generator.normal() / target.rank;
  },
};
