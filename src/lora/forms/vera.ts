/** @file VeRA's own settings, by PEFT's names, and how its files hold a configuration. */
import { checked, isCount, isFlag, isNumber, type Check } from "../checks.ts";
import type { ConfigForm } from "./form.ts";

export interface VeraSettings {
  /** Decides the shared A and B. Default 0. */
  readonly projection_prng_key: number;
  /** Whether files hold A and B, rather than the key alone. Default true. */
  readonly save_projection: boolean;
  /** Where the vector between A and B starts. Default 0.1. */
  readonly d_initial: number;
}

export const veraDefaults: VeraSettings = { projection_prng_key: 0, save_projection: true, d_initial: 0.1 };

const checks: Readonly<Record<keyof VeraSettings, Check>> = {
  projection_prng_key: [isCount, "a whole number from 0"],
  save_projection: [isFlag, "true or false"],
  d_initial: [isNumber, "a number"],
};

/** Keys that mean the same as in plain LoRA. */
const shared = [
  "r",
  "target_modules",
  "layers_to_transform",
  "layers_pattern",
  "bias",
  "modules_to_save",
  "task_type",
  "base_model_name_or_path",
] as const;

/** Their names in files, and ours. */
const renamed = { vera_dropout: "lora_dropout", init_weights: "init_lora_weights" } as const;

const picked = (values: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(keys.flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]])));

export const veraForm: ConfigForm = {
  type: "VERA",
  isMeant: ({ vera }) => (vera ?? null) !== null,
  defaults: { r: 256 },
  neutral: {},
  fields: new Set<string>([...shared, ...Object.values(renamed), "vera"]),
  check: ({ vera }, where) => void checked(vera!, checks, where),
  read: (raw) => ({
    ...picked(raw, shared),
    ...Object.fromEntries(Object.entries(renamed).flatMap(([theirs, ours]) => (raw[theirs] === undefined ? [] : [[ours, raw[theirs]]]))),
    vera: { ...veraDefaults, ...picked(raw, Object.keys(veraDefaults)) },
  }),
  write: (config) => ({
    ...picked({ ...config }, shared),
    ...Object.fromEntries(Object.entries(renamed).map(([theirs, ours]) => [theirs, config[ours]])),
    ...config.vera,
  }),
};
