/** @file AdaLoRA's own settings, by PEFT's names, and how its files hold a configuration. */
import { LowrankError } from "../../util/index.ts";
import { checked, isCount, isFlag, isList, isNumber, isPositive, isRank, isShare, isTable, orNull, type Check } from "../checks.ts";
import { loraForm } from "./lora.ts";
import type { ConfigForm } from "./form.ts";

export interface AdaLoraSettings {
  /** Ranks per module that are left in the end, on average. Default 8. */
  readonly target_r: number;
  /** Updates before the first rank is taken. Default 0. */
  readonly tinit: number;
  /** Updates after the last rank is taken. Default 0. */
  readonly tfinal: number;
  /** Updates from one choice of ranks to the next. Default 1. */
  readonly deltaT: number;
  /** Decay of the mean importance. Default 0.85. */
  readonly beta1: number;
  /** Decay of the mean uncertainty. Default 0.85. */
  readonly beta2: number;
  /** Weight of the penalty on A and B that are not orthogonal. Default 0.5. */
  readonly orth_reg_weight: number;
  /** Updates of the whole run; null until it is known. */
  readonly total_step: number | null;
  /** Which of the `r` ranks files hold, by module; null for all. */
  readonly rank_pattern: Readonly<Record<string, readonly boolean[]>> | null;
}

export const adaloraDefaults: AdaLoraSettings = {
  target_r: 8,
  tinit: 0,
  tfinal: 0,
  deltaT: 1,
  beta1: 0.85,
  beta2: 0.85,
  orth_reg_weight: 0.5,
  total_step: null,
  rank_pattern: null,
};

const checks: Readonly<Record<keyof AdaLoraSettings, Check>> = {
  target_r: [isRank, "a positive integer"],
  tinit: [isCount, "a whole number from 0"],
  tfinal: [isCount, "a whole number from 0"],
  deltaT: [isRank, "a positive integer"],
  beta1: [(value) => isShare(value) && isPositive(value), "a number between 0 and 1"],
  beta2: [(value) => isShare(value) && isPositive(value), "a number between 0 and 1"],
  orth_reg_weight: [(value) => isNumber(value) && (value as number) >= 0, "a number from 0"],
  total_step: [orNull(isRank), "a positive integer or null"],
  rank_pattern: [orNull(isTable(isList(isFlag))), "lists of true and false by module, or null"],
};

// PEFT names the vector between A and B in its patterns rather than the module.
const ending = ".lora_E";

export const adaloraForm: ConfigForm = {
  type: "ADALORA",
  isMeant: ({ adalora }) => (adalora ?? null) !== null,
  defaults: { r: 12 },
  neutral: loraForm.neutral,
  check: ({ adalora, use_dora, lora_bias, use_rslora }, where) => {
    const { tinit, tfinal, total_step } = checked(adalora!, checks, where);
    if (use_dora || lora_bias || use_rslora)
      throw new LowrankError("invalid-config", 'AdaLoRA excludes "use_dora", "lora_bias" and "use_rslora".', { where });
    if (total_step !== null && tinit >= total_step - tfinal)
      throw new LowrankError("invalid-config", `No update is left in which ranks could be taken: "total_step" is ${total_step}.`, {
        where,
        fix: 'Train for more updates, or lower "tinit" and "tfinal".',
      });
  },
  read: (raw) => {
    const own = Object.fromEntries(Object.keys(adaloraDefaults).flatMap((key) => (raw[key] === undefined ? [] : [[key, raw[key]]])));
    const pattern = raw["rank_pattern"] ?? null;
    const named = pattern !== null && Object.fromEntries(Object.entries(pattern).map(([key, kept]) => [key.replace(ending, ""), kept]));
    return {
      ...loraForm.read({ ...raw, r: raw["init_r"] ?? 12, rank_pattern: {} }),
      adalora: { ...adaloraDefaults, ...own, rank_pattern: named || null },
    };
  },
  write: (config) => {
    const { rank_pattern: pattern, ...own } = config.adalora!;
    return {
      ...loraForm.write(config),
      ...own,
      total_step: own.total_step ?? own.tinit + own.tfinal + 1, // PEFT does not take "unknown"
      r: 8, // PEFT reads init_r instead, and warns of any other value here
      init_r: config.r,
      rank_pattern: pattern && Object.fromEntries(Object.entries(pattern).map(([module, kept]) => [`${module}${ending}`, kept])),
    };
  },
};
