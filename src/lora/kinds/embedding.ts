/** @file Embeddings as targets: they read ids, which stand for one-hot rows x (N, rows), so that x·A is a choice of rows of A. */
import { reshape, scale } from "../../graph/index.ts";
import { rowsOf } from "../../nn/index.ts";
import type { Initialisation } from "../init/initialisation.ts";
import type { TargetKind } from "./kind.ts";

// PEFT starts the other factor at zero here: A, so that B, which every id shares, learns from the first step on.
const zeroA: Initialisation = {
  needs: "nothing",
  start: (_, B, { generator }) => {
    for (let index = 0; index < B.length; index++) B[index] = generator.normal();
  },
};

const bothRandom: Initialisation = {
  needs: "nothing",
  start: (A, B, context) => {
    for (let index = 0; index < A.length; index++) A[index] = context.generator.normal();
    return zeroA.start(A, B, context);
  },
};

export const embedding: TargetKind = {
  name: "embedding",
  A: { name: "lora_embedding_A", role: "embedding" },
  B: { name: "lora_embedding_B", role: "embedding" },
  keepsRows: false,
  isGrouped: false,
  dropout: false,
  candidates: ({ embeddings }) =>
    embeddings.map(({ module, rows, width, padding }) => ({
      module,
      ...(padding !== undefined && { padding }),
      kind: embedding,
      inFeatures: rows,
      outFeatures: width,
      turned: true,
      isOrdinary: false,
    })),
  initialisation: ({ init_lora_weights: name }) => (name === false ? bothRandom : zeroA),
  reduce: (ids, A, s, { padding }) => scale(reshape(rowsOf(A, ids, padding), [-1, A.shape[1]]), s),
};
