/** @file Tensors that adapters train whole (biases, norms, heads): which they are, and how the adapters' weights mix them. It knows nothing about low-rank updates. */
import { storedValues, type Base, type Model } from "../models/index.ts";
import { roles, viewOf, type Parameter, type ParameterRole, type ParameterSlot } from "../nn/index.ts";
import { f32, LowrankError, type HostTensor } from "../util/index.ts";
import { taskModules, type LoraConfig } from "./config.ts";
import type { WeightedAdapter } from "./merge.ts";
import type { AdapterTarget } from "./targets.ts";

/** True for a tensor that takes the place of the base's, rather than being one of an update. */
export const isWhole = ({ role }: Pick<ParameterSlot, "role">): boolean => roles[role].whole;

/** The role of a model's own tensor, by its name in the checkpoint. */
export const wholeRole = (name: string): ParameterRole => (name.endsWith(".bias") ? "bias" : "weight");

// PEFT compares the ends of names as texts: "norm" is every "…layernorm" as well, with all that lies in it.
const endsAs = (module: string, name: string): boolean => `${module}.`.includes(`${name}.`);

/** The model's tensors that an adapter trains whole: biases and `modules_to_save`. */
export const wholeParameters = (model: Model, config: LoraConfig, targets: ReadonlyMap<string, AdapterTarget>): Parameter[] => {
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]));
  // A tied head that is saved becomes a tensor of its own.
  for (const [name, source] of Object.entries(model.aliases)) shapes.set(name, shapes.get(source)!);
  const module = (name: string): string => name.slice(0, name.lastIndexOf("."));
  const isTrainedBias = (name: string): boolean => {
    if (wholeRole(name) !== "bias" || config.bias === "none") return false;
    return config.bias === "all" || targets.has(module(name));
  };
  const wanted = config.modules_to_save ?? [];
  const optional = taskModules[config.task_type ?? ""] ?? [];
  const chosen = [...shapes].filter(([name]) => isTrainedBias(name) || wanted.some((saved) => endsAs(module(name), saved)));
  for (const saved of wanted)
    if (!optional.includes(saved) && !chosen.some(([name]) => endsAs(module(name), saved)))
      throw new LowrankError("invalid-config", `"modules_to_save": "${saved}" is no module of the model.`, {
        fix: `Choose among ${[...new Set([...shapes.keys()].map(module))].slice(0, 12).join(", ")} …`,
      });
  return chosen.map(([name, shape]) => ({ name, role: wholeRole(name), shape }));
};

/**
 * How to make each tensor that some of the adapters train whole, by its name: W + Σ weight·(Wᵢ − W) [Ilharco et al. 2023],
 * so that weight 1 gives an adapter's own tensor and weight 0 the base's, as with low-rank updates.
 */
export const mixedTensors = (base: Base, adapters: readonly WeightedAdapter[]): Map<string, () => Promise<HostTensor>> => {
  const shapes = new Map(adapters.flatMap(({ adapter }) => adapter.layout.slots.filter(isWhole).map(({ name, shape }) => [name, shape])));
  const mix = async (name: string, shape: readonly number[]): Promise<HostTensor> => {
    const W = await storedValues(base, name);
    const mixed = W.slice();
    for (const { adapter, parameters, weight } of adapters) {
      const slot = adapter.layout.slots.find((candidate) => candidate.name === name);
      if (slot === undefined) continue;
      const own = viewOf(parameters, slot);
      for (let index = 0; index < mixed.length; index++) mixed[index] += weight * (own[index] - W[index]);
    }
    return f32(mixed, shape);
  };
  return new Map([...shapes].map(([name, shape]) => [name, () => mix(name, shape)]));
};
