/** @file What a model's head asks of an adapter's configuration: its task, and the modules that are trained whole. It knows no head. */
import type { Base } from "../models/index.ts";
import { LowrankError } from "../util/index.ts";
import type { LoraOptions } from "./config.ts";
import { isSaved, matches } from "./targets.ts";

const moduleOf = (parameter: string): string => parameter.slice(0, parameter.lastIndexOf("."));

/**
 * Adds to a configuration what the base's head asks for: a classifier is trained whole unless the targets name it, and so is whatever the
 * checkpoint does not hold. A new classifier as a target is `invalid-config`: the adapter would not hold what it is an update of.
 */
export const configForHead = ({ model, fresh }: Pick<Base, "model" | "fresh">, config: LoraOptions): LoraOptions => {
  const { head, linears } = model;
  const { target_modules: targets = "all-linear", modules_to_save: asked } = config;
  const isTarget = (whole: string): boolean =>
    targets !== "all-linear" && linears.some(({ module }) => isSaved(module, [whole]) && matches(module, targets, "target_modules"));
  const whole = head.whole.filter((name) => !isTarget(name));
  const created = [...new Set([...fresh].map(moduleOf))].filter((module) => !isSaved(module, whole));
  const updated = created.find((module) => isSaved(module, head.whole));
  if (updated !== undefined)
    throw new LowrankError(
      "invalid-config",
      `"${updated}" is new, so an adapter that holds an update of it would not be enough to use it.`,
      {
        fix: "Leave it out of the targets, so that it is trained whole; or write the base with a head first and adapt that.",
      },
    );
  const saved = [...new Set([...(asked ?? []), ...whole, ...created])];
  return { task_type: head.task, ...config, modules_to_save: saved.length === 0 ? null : saved };
};
