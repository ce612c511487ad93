/**
 * @file Experts as targets, by PEFT's `target_parameters`: a parameter that stacks the weights of all experts gets a low-rank update for each
 * of them. A router is such a parameter with a single one.
 */
import { LowrankError } from "../../util/index.ts";
import { initialisationOf } from "../init/initialisations.ts";
import type { TargetKind } from "./kind.ts";
import { linear } from "./linear.ts";

export const expert: TargetKind = {
  name: "expert",
  A: linear.A,
  B: linear.B,
  keepsRows: false,
  isGrouped: true,
  dropout: false,
  candidates: ({ stacks = [] }) =>
    stacks.flatMap(({ parameter, parts, inFeatures, outFeatures }) =>
      parts[0].map((_, index) => ({
        module: parts[0].length === 1 ? parameter : `${parameter}.${index}`,
        kind: expert,
        inFeatures,
        outFeatures,
        parameter,
        parts: parts.map((modules) => modules[index]),
        isOrdinary: false,
      })),
    ),
  initialisation: (config) => {
    const initialisation = initialisationOf(config);
    if (initialisation.needs !== "nothing")
      throw new LowrankError("unsupported", `"init_lora_weights": "${String(config.init_lora_weights)}" is not offered for experts.`, {
        fix: 'Choose true or "gaussian", or leave the experts out of "target_parameters".',
      });
    return initialisation;
  },
  reduce: linear.reduce,
};
