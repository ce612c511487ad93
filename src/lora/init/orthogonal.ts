/** @file PEFT's "orthogonal" start: A and B random and not zero, in orthogonal halves of the rank's space, so that A·B = 0. */
import { normalVectors } from "../algebra/randomised-svd.ts";
import { qr } from "../algebra/qr.ts";
import { combine, fromColumns, fromRows, scaled, turned } from "../algebra/vectors.ts";
import { LowrankError } from "../../util/index.ts";
import type { Initialisation } from "./initialisation.ts";

export const orthogonal: Initialisation = {
  needs: "nothing",
  start: (A, B, { target: { module, rank, inFeatures, outFeatures }, generator }) => {
    if (rank % 2 !== 0)
      throw new LowrankError("invalid-config", `The orthogonal start splits the rank in two halves, and ${rank} is odd.`, {
        where: module,
        fix: "Choose an even rank.",
      });
    // The rows of an orthonormal Q (r, r), taken in turns: A = N·Q_odd/10 and B = (Q_even)ᵀ·N/10.
    const Q = turned(qr(normalVectors(rank, rank, generator)).Q);
    const half = (parity: number): Float64Array[] => Q.filter((_, index) => index % 2 === parity).map((row) => scaled(row, 0.1));
    A.set(fromRows(combine(normalVectors(inFeatures, rank / 2, generator), half(0))));
    B.set(fromColumns(combine(normalVectors(outFeatures, rank / 2, generator), half(1))));
  },
};
