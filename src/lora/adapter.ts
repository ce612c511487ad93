/** @file An adapter planned for a model: its targets, its place in the flat vector, and the modules it makes of the base's. It knows nothing about files. */
import { reshape, slice, type Tensor } from "../graph/index.ts";
import { modelModules, type Model } from "../models/index.ts";
import { layoutOf, viewOf, type Modules, type ParameterLayout, type ParameterSlot } from "../nn/index.ts";
import { hashText, LowrankError, random } from "../util/index.ts";
import type { LoraConfig } from "./config.ts";
import type { Dropout } from "./dropout.ts";
import { selectTargets, type AdapterTarget } from "./targets.ts";
import { plain } from "./variants/plain.ts";
import type { Variant } from "./variants/variant.ts";

export interface Adapter {
  readonly config: LoraConfig;
  readonly variant: Variant;
  readonly targets: ReadonlyMap<string, AdapterTarget>;
  /** Slots are named `<module>.lora_A`, `<module>.lora_B`, and by the checkpoint's name where a tensor is trained whole. */
  readonly layout: ParameterLayout;
}

// PEFT compares the ends of names as texts: "norm" is every "…layernorm" as well, with all that lies in it.
const endsAs = (module: string, name: string): boolean => `${module}.`.includes(`${name}.`);

/** The model's tensors that an adapter trains whole: biases and `modules_to_save`. */
const wholeTensors = (
  model: Model,
  config: LoraConfig,
  targets: ReadonlyMap<string, AdapterTarget>,
): Pick<ParameterSlot, "name" | "role" | "shape">[] => {
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]));
  // A tied head that is saved becomes a tensor of its own.
  for (const [name, source] of Object.entries(model.aliases)) shapes.set(name, shapes.get(source)!);
  const isBias = (name: string): boolean => {
    if (!name.endsWith(".bias") || config.bias === "none") return false;
    return config.bias === "all" || targets.has(name.slice(0, -".bias".length));
  };
  const module = (name: string): string => name.slice(0, name.lastIndexOf("."));
  const wanted = config.modules_to_save ?? [];
  const chosen = [...shapes].filter(([name]) => isBias(name) || wanted.some((saved) => endsAs(module(name), saved)));
  for (const saved of wanted)
    if (!chosen.some(([name]) => endsAs(module(name), saved)))
      throw new LowrankError("invalid-config", `"modules_to_save": "${saved}" is no module of the model.`, {
        fix: `Choose among ${[...new Set([...shapes.keys()].map(module))].slice(0, 12).join(", ")} …`,
      });
  return chosen.map(([name, shape]) => ({ name, role: name.endsWith(".bias") ? "bias" : "weight", shape }));
};

/**
 * Plans an adapter for a model.
 * @example const adapter = planAdapter(base.model, loraConfig({ r: 8 }));
 */
export const planAdapter = (model: Model, config: LoraConfig): Adapter => {
  const targets = new Map(selectTargets(model.linears, config).map((target) => [target.module, target]));
  const variant = plain;
  const slots = [...targets.values()].flatMap((target) =>
    variant.parameters(target).map((parameter) => ({ ...parameter, name: `${target.module}.${parameter.name}` })),
  );
  return { config, variant, targets, layout: layoutOf([...slots, ...wholeTensors(model, config, targets)]) };
};

/** Starting values by seed; tensors that are trained whole start as `stored` gives them. Each target has a stream of its own. */
export const initialParameters = async (
  adapter: Adapter,
  seed: number,
  stored: (name: string) => Promise<Float32Array>,
): Promise<Float32Array> => {
  const flat = new Float32Array(adapter.layout.size);
  const slots = new Map(adapter.layout.slots.map((slot) => [slot.name, slot]));
  for (const target of adapter.targets.values())
    adapter.variant.initialise(
      target,
      adapter.config,
      (name) => viewOf(flat, slots.get(`${target.module}.${name}`)!),
      random(seed, hashText(target.module)),
    );
  for (const slot of adapter.layout.slots)
    if (slot.role === "weight" || slot.role === "bias") viewOf(flat, slot).set(await stored(slot.name));
  return flat;
};

/** Graph tensors for the slots of a flat vector. */
export const slotTensors = ({ slots }: ParameterLayout, flat: Tensor): Map<string, Tensor> =>
  new Map(slots.map(({ name, shape, offset, size }) => [name, reshape(slice(flat, 0, offset, offset + size), shape)]));

/** An adapter at work: its tensors, and how strongly it acts (1 = as trained). */
export interface ActiveAdapter {
  readonly adapter: Adapter;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly weight: number;
}

export interface AdaptedModulesOptions {
  readonly model: Model;
  /** Finds the base's tensors. */
  readonly find: (name: string) => Tensor | undefined;
  readonly active: readonly ActiveAdapter[];
  readonly trainable?: readonly Tensor[];
  readonly dropout?: Dropout;
}

/** The base's tensor by any of its names. A tied head stays what it was where an adapter trains the embedding whole, as in PEFT. */
export const findBase = ({ aliases }: Model, find: (name: string) => Tensor | undefined, name: string): Tensor | undefined =>
  find(name) ?? (Object.hasOwn(aliases, name) ? find(aliases[name]) : undefined);

/** The base's modules with adapters beside them: h = base(x) + Σ weight·adapter(x). */
export const adaptedModules = ({ model, find, active, trainable = [], dropout }: AdaptedModulesOptions): Modules => {
  const whole = new Map(active.flatMap(({ tensors }) => [...tensors].filter(([name]) => !/\.lora_[AB]$/.test(name))));
  const base = modelModules(model, (name) => whole.get(name) ?? findBase(model, find, name), trainable);
  return {
    ...base,
    linear: (module, x) => {
      let y = base.linear(module, x);
      for (const { adapter, tensors, weight } of active) {
        const target = adapter.targets.get(module);
        if (target === undefined) continue;
        const seen = dropout === undefined ? x : dropout(module, x);
        const weighted = { ...target, scaling: target.scaling * weight };
        y = adapter.variant.forward(weighted, (name) => tensors.get(`${module}.${name}`)!, seen, y);
      }
      return y;
    },
    plainWeight: (module) => (active.some(({ adapter }) => adapter.targets.has(module)) ? undefined : base.plainWeight(module)),
  };
};
