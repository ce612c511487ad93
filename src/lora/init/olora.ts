/** @file OLoRA: A and B begin as the first rows and columns of W's QR decomposition, which the frozen rest goes without [Büyükakyüz 2024]. */
import { qr } from "../algebra/qr.ts";
import { fromColumns, fromRows, unitVectors } from "../algebra/vectors.ts";
import { needRank, type Initialisation } from "./initialisation.ts";

export const olora: Initialisation = {
  needs: "weight",
  shifts: true,
  // PEFT decomposes a weight as it lies, so that with turned ones (GPT-2) it starts elsewhere than at the base.
  repeats: ({ turned }) => turned !== true,
  // W = Q·R (out, in): A = R[:r]ᵀ and B = Q[:, :r]ᵀ   [alg. 1]
  start: async (A, B, { operator, target }) => {
    needRank(target);
    const W = operator();
    // The first r columns of Q are made from those of W alone.
    const first = unitVectors(W.inFeatures).slice(0, target.rank);
    const { Q, R } = qr(await W.forward(first));
    const rows = await W.adjoint(Q);
    rows.forEach((row, index) => row.set(R[index]));
    A.set(fromColumns(rows));
    B.set(fromRows(Q));
  },
};
