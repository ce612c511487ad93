/** @file The configuration of an adapter, with PEFT's field names, defaults and meaning. It knows nothing about files or models. */
import type { PeftType } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import {
  checked,
  isCount,
  isFlag,
  isList,
  isOneOf,
  isPositive,
  isRank,
  isRecordOf,
  isShare,
  isTable,
  isText,
  isTexts,
  orNull,
  type Check,
} from "./checks.ts";
import { adaloraDefaults, adaloraForm, type AdaLoraSettings } from "./forms/adalora.ts";
import type { ConfigForm, RawConfig } from "./forms/form.ts";
import { loraForm } from "./forms/lora.ts";
import { veraDefaults, veraForm, type VeraSettings } from "./forms/vera.ts";
import type { CordaOptions } from "./init/corda.ts";
import type { EvaOptions } from "./init/eva.ts";
import { initNames, isInitName } from "./init/initialisations.ts";
import type { LoraGaOptions } from "./init/lora-ga.ts";

/** PEFT's `init_lora_weights`, as far as it is offered. */
export type InitName =
  | boolean
  | "gaussian"
  | "orthogonal"
  | "pissa"
  | `pissa_niter_${number}`
  | "olora"
  | "loftq"
  | "eva"
  | "corda"
  | "lora_ga";

/** PEFT's `LoraConfig`, with the settings of its relatives VeRA and AdaLoRA. */
export interface LoraConfig {
  /** Rank of the update. Default 8. */
  readonly r: number;
  /** α of the scaling s = α/r. Default 8. */
  readonly lora_alpha: number;
  /** Probability with which an element of the input of A is dropped in training. Default 0. */
  readonly lora_dropout: number;
  /** Names or name endings, a regular expression over whole names, or "all-linear". */
  readonly target_modules: readonly string[] | string;
  /** Parameters of experts and routers that get an update for each expert, by name endings: `mlp.experts.down_proj`. Default none. */
  readonly target_parameters: readonly string[] | null;
  /** What is left out of the targets; names or name endings, or a regular expression. */
  readonly exclude_modules: readonly string[] | string | null;
  /** Indices of the layers that are adapted; all where null. */
  readonly layers_to_transform: readonly number[] | null;
  /** The name before the layer's index, where a model has several numbered lists. */
  readonly layers_pattern: readonly string[] | string | null;
  /** Ranks of particular modules, by name ending or regular expression. */
  readonly rank_pattern: Readonly<Record<string, number>>;
  /** α of particular modules. */
  readonly alpha_pattern: Readonly<Record<string, number>>;
  /** Which biases are trained. Default "none". */
  readonly bias: "none" | "all" | "lora_only";
  /** s = α/√r instead of α/r. Default false. */
  readonly use_rslora: boolean;
  /** DoRA: the magnitude of each output is trained apart from its direction. Default false. */
  readonly use_dora: boolean;
  /** A bias on B. Default false. */
  readonly lora_bias: boolean;
  /** LoRA-FA: A keeps its start and B alone is trained. Not PEFT's, and not in files. Default false. */
  readonly freeze_A: boolean;
  /** The settings of VeRA; null for anything else. */
  readonly vera: VeraSettings | null;
  /** The settings of AdaLoRA; null for anything else. */
  readonly adalora: AdaLoraSettings | null;
  /** Rows of the tokens' embedding that are trained on their own, or rows by module; a tied head follows. */
  readonly trainable_token_indices: readonly number[] | Readonly<Record<string, readonly number[]>> | null;
  /** Modules that are trained whole and stored with the adapter. */
  readonly modules_to_save: readonly string[] | null;
  /** How A and B start. Default true: A uniform as PyTorch's linear layers, B zero. */
  readonly init_lora_weights: InitName;
  /** What the start "eva" is told; null for its defaults. */
  readonly eva_config: Partial<EvaOptions> | null;
  /** What the start "corda" is told. */
  readonly corda_config: Partial<CordaOptions> | null;
  /** What the start "lora_ga" is told. */
  readonly lora_ga_config: Partial<LoraGaOptions> | null;
  /** PEFT's task name. Default "CAUSAL_LM". */
  readonly task_type: string | null;
  /** Where the base came from, for people and for PEFT's auto classes. */
  readonly base_model_name_or_path: string | null;
}

const defaults: LoraConfig = {
  r: 8,
  lora_alpha: 8,
  lora_dropout: 0,
  target_modules: "all-linear",
  target_parameters: null,
  exclude_modules: null,
  layers_to_transform: null,
  layers_pattern: null,
  rank_pattern: {},
  alpha_pattern: {},
  bias: "none",
  use_rslora: false,
  use_dora: false,
  lora_bias: false,
  freeze_A: false,
  vera: null,
  adalora: null,
  trainable_token_indices: null,
  modules_to_save: null,
  init_lora_weights: true,
  eva_config: null,
  corda_config: null,
  lora_ga_config: null,
  task_type: "CAUSAL_LM",
  base_model_name_or_path: null,
};

const isAtLeastOne = (value: unknown): boolean => isPositive(value) && (value as number) >= 1;

const checks: Readonly<Record<keyof LoraConfig, Check>> = {
  r: [isRank, "a positive integer"],
  lora_alpha: [isPositive, "a positive number"],
  lora_dropout: [isShare, "a number from 0 to below 1"],
  target_modules: [(value) => isText(value) || isTexts(value), 'names, a regular expression or "all-linear"'],
  target_parameters: [orNull(isTexts), "parameter names or null"],
  exclude_modules: [orNull((value) => isText(value) || isTexts(value)), "names, a regular expression or null"],
  layers_to_transform: [orNull(isList(Number.isSafeInteger)), "layer indices or null"],
  layers_pattern: [orNull((value) => isText(value) || isTexts(value)), "a name, names or null"],
  rank_pattern: [isTable(isRank), "positive integers by module name"],
  alpha_pattern: [isTable(isPositive), "positive numbers by module name"],
  bias: [(value) => value === "none" || value === "all" || value === "lora_only", '"none", "all" or "lora_only"'],
  use_rslora: [isFlag, "true or false"],
  use_dora: [isFlag, "true or false"],
  lora_bias: [isFlag, "true or false"],
  freeze_A: [isFlag, "true or false"],
  // Checked by their forms.
  vera: [() => true, "settings or null"],
  adalora: [() => true, "settings or null"],
  trainable_token_indices: [
    orNull((value) => isList(isCount)(value) || isTable(isList(isCount))(value)),
    "token ids, token ids by module, or null",
  ],
  modules_to_save: [orNull(isTexts), "module names or null"],
  init_lora_weights: [isInitName, `one of ${initNames.join(", ")}`],
  eva_config: [
    orNull(isRecordOf({ rho: isAtLeastOne, use_label_mask: isFlag, whiten: isFlag, adjust_scaling_factors: isFlag })),
    "rho (1 or more), use_label_mask, whiten, adjust_scaling_factors, or null",
  ],
  corda_config: [orNull(isRecordOf({ corda_method: isOneOf("ipm", "kpm") })), 'corda_method ("ipm" or "kpm"), or null'],
  lora_ga_config: [
    orNull(
      isRecordOf({
        direction: isOneOf("ArB2r", "A2rBr", "ArBr", "random"),
        scale: isOneOf("stable", "weight_svd", "gd_scale", "unit"),
        stable_gamma: isPositive,
      }),
    ),
    "direction (ArB2r, A2rBr, ArBr, random), scale (stable, weight_svd, gd_scale, unit), stable_gamma, or null",
  ],
  task_type: [orNull(isText), "a task name or null"],
  base_model_name_or_path: [orNull((value) => typeof value === "string"), "a name, a path or null"],
};

/** The first that is meant is taken: the general one comes last. */
const forms: readonly ConfigForm[] = [veraForm, adaloraForm, loraForm];

const formOf = (config: Partial<LoraConfig>): ConfigForm => forms.find((form) => form.isMeant(config))!;

/** PEFT's `peft_type` of a configuration. */
export const peftTypeOf = (config: LoraConfig): PeftType => formOf(config).type;

const isDefault = (config: LoraConfig, key: keyof LoraConfig): boolean => JSON.stringify(config[key]) === JSON.stringify(defaults[key]);

/** Some fields of a configuration, and some of its relatives' settings. */
export type LoraOptions = Partial<Omit<LoraConfig, "vera" | "adalora">> & {
  readonly vera?: Partial<VeraSettings> | null;
  readonly adalora?: Partial<AdaLoraSettings> | null;
};

/**
 * A whole configuration from some of its fields; throws `invalid-config` that names a wrong one.
 * @example const config = loraConfig({ r: 16, lora_alpha: 32 });
 */
export const loraConfig = (given: LoraOptions = {}, where = "adapter configuration"): LoraConfig => {
  const settings = {
    ...(given.vera && { vera: { ...veraDefaults, ...given.vera } }),
    ...(given.adalora && { adalora: { ...adaloraDefaults, ...given.adalora } }),
  };
  const form = formOf(settings);
  const config = checked({ ...defaults, ...form.defaults, ...given, ...settings } as LoraConfig, checks, where);
  if ([config.use_dora, config.lora_bias, config.freeze_A].filter(Boolean).length > 1)
    throw new LowrankError("invalid-config", '"use_dora", "lora_bias" and "freeze_A" exclude each other.', { where });
  const unsaid = form.fields && Object.keys(defaults).find((key) => !form.fields!.has(key) && !isDefault(config, key as keyof LoraConfig));
  if (unsaid !== undefined) throw new LowrankError("invalid-config", `A ${form.type} configuration has no "${unsaid}".`, { where });
  form.check?.(config, where);
  return config;
};

/** What PEFT adds to `modules_to_save` for a task, whether the model has it or not. */
export const taskModules: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: ["classifier", "score"],
  TOKEN_CLS: ["classifier", "score"],
  QUESTION_ANS: ["qa_outputs"],
};

/** Reads `adapter_config.json`; keys that are unknown are ignored as PEFT does, options that are not offered are refused by name. */
export const readLoraConfig = (raw: RawConfig, where: string): LoraConfig => {
  const form = forms.find(({ type }) => type === raw["peft_type"]);
  if (form === undefined)
    throw new LowrankError(
      "unsupported",
      `peft_type ${JSON.stringify(raw["peft_type"])} is not offered; known: ${forms.map(({ type }) => type).join(", ")}.`,
      { where },
    );
  for (const [key, values] of Object.entries(form.neutral))
    // PEFT writes an empty list where it has looked for parameters of experts and found that none are meant.
    if (!values.includes(raw[key]) && JSON.stringify(raw[key]) !== "[]")
      throw new LowrankError("unsupported", `The option "${key}": ${JSON.stringify(raw[key])} is not offered.`, { where });
  // MiCA's start is not offered, and an adapter that has been trained does not need it.
  const ours = form.read(raw["init_lora_weights"] === "mica" ? { ...raw, init_lora_weights: true } : raw);
  return loraConfig(Object.fromEntries(Object.keys(defaults).flatMap((key) => (ours[key] === undefined ? [] : [[key, ours[key]]]))), where);
};

/** `adapter_config.json` for a configuration, with every key that PEFT reads. */
export const writeLoraConfig = (config: LoraConfig): Record<string, unknown> => {
  const form = formOf(config);
  const unused = Object.fromEntries(Object.entries(form.neutral).map(([key, [value]]) => [key, value]));
  return { ...unused, ...form.write(config), peft_type: form.type, inference_mode: true, revision: null, auto_mapping: null };
};
