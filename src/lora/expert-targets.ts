/**
 * @file Reads `target_modules` that mean experts or routers as PEFT does, which has them as parameters: `gate_proj` and `up_proj` become
 * `gate_up_proj`, with a rank for each. It knows nothing about tensors.
 */
import type { Model, StackSpec } from "../models/index.ts";
import { LowrankError } from "../util/index.ts";
import type { LoraConfig } from "./config.ts";
import { candidatesOf } from "./kinds/index.ts";
import { selectTargets, targetNames } from "./targets.ts";

const leaf = (name: string, count = 1): string => name.split(".").slice(-count).join(".");

/** A parameter and the names that its modules have in released checkpoints. */
interface Renamed {
  readonly parameter: string;
  readonly modules: readonly string[];
}

// A router's parameter is called "weight", which alone would mean every module's.
const renamedBy = ({ parameter, parts }: StackSpec): Renamed => ({
  parameter: leaf(parameter, parts[0].length === 1 ? 2 : 1),
  modules: parts.map(([module]) => leaf(module)),
});

const endsWith = (name: string, ending: string): boolean => name === ending || name.endsWith(`.${ending}`);

/** The configuration with `target_parameters` for what of its `target_modules` is no module here. */
export const withExpertParameters = (model: Pick<Model, "linears" | "embeddings" | "stacks">, config: LoraConfig): LoraConfig => {
  const { stacks = [] } = model;
  const given = config.target_modules;
  const all = [...new Map(stacks.map(renamedBy).map((renamed) => [renamed.parameter, renamed])).values()];
  const isAll = given === "all-linear";
  if (stacks.length === 0 || (typeof given === "string" && !isAll)) return config;

  const linears = candidatesOf(model).filter(({ parameter }) => parameter === undefined);
  const whole = new Set(linears.map(({ module }) => module));
  const isMeant = (module: string): boolean => isAll || given.some((name) => endsWith(name, module) && !whole.has(name));
  const meant = all.filter(({ modules }) => modules.some(isMeant));
  for (const { modules } of meant) {
    const missing = modules.filter((module) => !isMeant(module));
    if (missing.length > 0)
      throw new LowrankError("invalid-config", `"target_modules": of experts, ${modules.join(" and ")} are adapted together.`, {
        fix: `Add ${missing.join(" and ")}.`,
      });
  }
  // A name may mean the experts of some layers and a module of others.
  const isModule = (name: string): boolean => linears.some(({ module }) => endsWith(module, name));
  const joined = meant.filter(({ modules }) => modules.length > 1);
  const patterns = (value: number): Record<string, number> =>
    Object.fromEntries(joined.map(({ parameter, modules }) => [`.*\\.${parameter}`, value * modules.length]));
  return {
    ...config,
    target_modules: isAll
      ? targetNames(linears, selectTargets(linears, config), config)
      : given.filter((name) => isModule(name) || !all.some(({ modules }) => modules.some((module) => endsWith(name, module)))),
    target_parameters: [...new Set([...(config.target_parameters ?? []), ...meant.map(({ parameter }) => parameter)])],
    rank_pattern: { ...config.rank_pattern, ...patterns(config.r) },
    alpha_pattern: { ...config.alpha_pattern, ...patterns(config.lora_alpha) },
  };
};
