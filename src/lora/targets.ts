/** @file Which modules of a model an adapter configuration means, by PEFT's matching rules. It knows nothing about tensors. */
import { LowrankError } from "../util/index.ts";
import type { LoraConfig } from "./config.ts";
import type { Candidate } from "./kinds/kind.ts";
import { scalingOf } from "./lora.ts";

/** The size of an update, and how strongly it acts. */
export interface Strength {
  readonly rank: number;
  /** s of h = xW + s·xAB. */
  readonly scaling: number;
}

/** A module that gets an adapter, with the rank and scaling it gets. */
export type AdapterTarget = Candidate & Strength;

/** What selection asks of a module. */
type Selectable = Pick<Candidate, "module" | "isOrdinary" | "parameter">;

const compile = (pattern: string, key: string): RegExp => {
  try {
    return new RegExp(`^(?:${pattern})$`);
  } catch (error) {
    throw new LowrankError("invalid-config", `"${key}": ${JSON.stringify(pattern)} is not a regular expression.`, { cause: error });
  }
};

/** Whether a configuration's names, or its regular expression, mean a module. */
export const matches = (module: string, wanted: readonly string[] | string, key: string): boolean =>
  typeof wanted === "string" ? compile(wanted, key).test(module) : wanted.some((name) => module === name || module.endsWith(`.${name}`));

/** True for a module that is, or lies in, one of `modules_to_save`. */
export const isSaved = (module: string, saved: LoraConfig["modules_to_save"]): boolean =>
  (saved ?? []).some((name) => `.${module}.`.includes(`.${name}.`));

const layerIndex = (module: string, pattern: LoraConfig["layers_pattern"]): number | undefined => {
  const names = pattern === null ? [] : typeof pattern === "string" ? [pattern] : pattern;
  // The first number wins, so that an expert's index is never taken for a layer's.
  const expressions = names.length === 0 ? [/^.*?\.[^.]*\.(\d+)\./] : names.map((name) => new RegExp(`^.*?\\.${name}\\.(\\d+)\\.`));
  const found = expressions.map((expression) => expression.exec(module)?.[1]).find((digits) => digits !== undefined);
  return found === undefined ? undefined : Number(found);
};

const isTarget = ({ module, isOrdinary, parameter }: Selectable, config: LoraConfig): boolean => {
  // PEFT leaves neither layers nor modules out here.
  if (parameter !== undefined) return matches(parameter, config.target_parameters ?? [], "target_parameters");
  const { target_modules: targets, exclude_modules: excluded, layers_to_transform: layers } = config;
  if (isSaved(module, config.modules_to_save)) return false;
  if (excluded !== null && matches(module, excluded, "exclude_modules")) return false;
  if (targets === "all-linear") {
    if (!isOrdinary) return false;
  } else if (!matches(module, targets, "target_modules")) return false;
  if (layers === null || (typeof targets === "string" && targets !== "all-linear")) return true;
  const index = layerIndex(module, config.layers_pattern);
  return index !== undefined && layers.includes(index);
};

// PEFT: the first key, in the file's order, that matches the end of the name.
const fromPattern = (module: string, pattern: Readonly<Record<string, number>>, key: string): number | undefined =>
  Object.entries(pattern).find(([name]) => compile(`(?:.*\\.)?(?:${name})`, key).test(module))?.[1];

/** The modules that a configuration adapts, in the model's order; throws `invalid-config` where there are none. */
export const selectTargets = <Module extends Selectable>(candidates: readonly Module[], config: LoraConfig): (Module & Strength)[] => {
  const targets = candidates
    .filter((candidate) => isTarget(candidate, config))
    .map((candidate) => {
      const name = candidate.parameter ?? candidate.module;
      const rank = fromPattern(name, config.rank_pattern, "rank_pattern") ?? config.r;
      const alpha = fromPattern(name, config.alpha_pattern, "alpha_pattern") ?? config.lora_alpha;
      return { ...candidate, rank, scaling: scalingOf(alpha, rank, config.use_rslora) };
    });
  if (targets.length === 0) {
    const names = [
      ...new Set(candidates.filter(({ parameter }) => parameter === undefined).map(({ module }) => module.split(".").at(-1)!)),
    ];
    throw new LowrankError("invalid-config", `"target_modules": ${JSON.stringify(config.target_modules)} matches no module.`, {
      fix: `Choose among ${names.join(", ")}, or "all-linear".`,
    });
  }
  return targets;
};

/** `target_modules` as a list that selects exactly these targets: name endings where they suffice, whole names otherwise. */
export const targetNames = (candidates: readonly Selectable[], targets: readonly Selectable[], config: LoraConfig): string[] => {
  const modules = targets.filter(({ parameter }) => parameter === undefined).map(({ module }) => module);
  const endings = [...new Set(modules.map((module) => module.split(".").at(-1)!))];
  const selected = candidates.filter(
    (candidate) => candidate.parameter === undefined && isTarget(candidate, { ...config, target_modules: endings }),
  );
  return selected.length === modules.length ? endings : modules;
};
