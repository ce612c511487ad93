/** @file A checkpoint's tensors by the model's names, where the checkpoint has others. It reads no tensor. */
import type { WeightLocation } from "../graph/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Model, StackSpec } from "./model.ts";

// The weights of the modules that a stacked parameter stands for, each where it lies in the stack.
const shares = ({ parts, outFeatures, inFeatures }: StackSpec, stack: WeightLocation): [name: string, share: WeightLocation][] => {
  const [first] = parts;
  const shape = [outFeatures / parts.length, inFeatures];
  const bytes = stack.bytes / (parts.length * first.length);
  return parts.flatMap((modules, part) =>
    modules.map((module, expert): [string, WeightLocation] => [
      `${module}.weight`,
      { ...stack, shape, bytes, offset: stack.offset + (expert * parts.length + part) * bytes },
    ]),
  );
};

const checkStack = ({ parameter, parts, outFeatures, inFeatures }: StackSpec, { shape, path }: WeightLocation): void => {
  const experts = parts[0].length;
  const wanted = experts === 1 && shape.length === 2 ? [outFeatures, inFeatures] : [experts, outFeatures, inFeatures];
  if (shape.join() !== wanted.join())
    throw new LowrankError(
      "shape-mismatch",
      `"${parameter}" is [${shape.join(", ")}] where the configuration makes it [${wanted.join(", ")}].`,
      {
        where: path,
        fix: "Check that config.json belongs to these weights.",
      },
    );
};

// What layer norms called their gain and their bias before 2019.
const formerEndings: Readonly<Record<string, string>> = { ".gamma": ".weight", ".beta": ".bias" };

/**
 * Tensors by the model's names: checkpoints that were saved without a head leave out the prefix that all other names share, old ones have
 * other names for norms, and newer ones may stack the weights of experts, which are taken apart where they lie.
 */
export const namedTensors = (
  { parameters, stacks = [] }: Pick<Model, "parameters" | "stacks">,
  stored: ReadonlyMap<string, WeightLocation>,
): ReadonlyMap<string, WeightLocation> => {
  const stackOf = new Map(stacks.map((stack) => [stack.parameter, stack]));
  const wanted = new Set([...parameters.map(({ name }) => name), ...stackOf.keys()]);
  const prefix = parameters[0].name.split(".", 1)[0];
  const nameOf = (given: string): string => {
    const name = given.replace(/\.(gamma|beta)$/, (ending) => formerEndings[ending]);
    return [name, `${prefix}.${name}`].find((candidate) => wanted.has(candidate)) ?? given;
  };
  return new Map(
    [...stored].flatMap(([name, location]): [string, WeightLocation][] => {
      const ours = nameOf(name);
      const stack = stackOf.get(ours);
      if (stack === undefined) return [[ours, location]];
      checkStack(stack, location);
      return shares(stack, location);
    }),
  );
};
