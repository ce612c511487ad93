/** @file Every initialisation, by PEFT's name for it. Adding one is its file and one line here. */
import type { InitName, LoraConfig } from "../config.ts";
import { corda } from "./corda.ts";
import { eva } from "./eva.ts";
import { gaussian } from "./gaussian.ts";
import type { Initialisation } from "./initialisation.ts";
import { kaiming } from "./kaiming.ts";
import { loftq } from "./loftq.ts";
import { loraGa } from "./lora-ga.ts";
import { olora } from "./olora.ts";
import { orthogonal } from "./orthogonal.ts";
import { fastPissa, pissa } from "./pissa.ts";
import { uniform } from "./uniform.ts";

type Options = Pick<LoraConfig, "eva_config" | "corda_config" | "lora_ga_config">;

const table = new Map<boolean | string, (options: Options) => Initialisation>([
  [true, () => kaiming],
  [false, () => uniform],
  ["gaussian", () => gaussian],
  ["orthogonal", () => orthogonal],
  ["pissa", () => pissa],
  ["olora", () => olora],
  ["loftq", () => loftq],
  ["eva", ({ eva_config: options }) => eva(options ?? {})],
  ["corda", ({ corda_config: options }) => corda(options ?? {})],
  ["lora_ga", ({ lora_ga_config: options }) => loraGa(options ?? {})],
]);

/** Names that end in a number from 1. */
const numbered = new Map<string, (number: number) => Initialisation>([["pissa_niter_", fastPissa]]);

const find = (name: unknown): ((options: Options) => Initialisation) | undefined => {
  const [, stem, number] = /^(.*_)([1-9]\d*)$/.exec(String(name)) ?? [];
  const made = stem === undefined ? undefined : numbered.get(stem);
  return made === undefined ? table.get(name as boolean | string) : () => made(Number(number));
};

/** The names, for people. */
export const initNames: readonly string[] = [...table.keys(), ...[...numbered.keys()].map((stem) => `${stem}N`)].map(String);

export const isInitName = (name: unknown): name is InitName => find(name) !== undefined;

/** The initialisation that a configuration asks for. */
export const initialisationOf = (config: Options & Pick<LoraConfig, "init_lora_weights">): Initialisation =>
  find(config.init_lora_weights)!(config);
