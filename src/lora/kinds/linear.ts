/** @file Linear modules as targets: they read vectors x (N, in). */
import { matmul } from "../../graph/index.ts";
import { initialisationOf } from "../init/initialisations.ts";
import type { TargetKind } from "./kind.ts";

export const linear: TargetKind = {
  name: "linear module",
  A: { name: "lora_A", role: "lora_A" },
  B: { name: "lora_B", role: "lora_B" },
  keepsRows: true,
  isGrouped: false,
  dropout: true,
  candidates: ({ linears }) => linears.map((spec) => ({ ...spec, kind: linear, isOrdinary: !spec.isHead })),
  initialisation: initialisationOf,
  reduce: (x, A, s) => matmul(x, A, { alpha: s }),
};
