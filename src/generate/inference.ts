/** @file A base made ready to generate: alone, with adapters beside it, or with adapters folded in. It knows nothing about tokens. */
import { input, type Tensor } from "../graph/index.ts";
import { adaptedModules, mergeModule, type ActiveAdapter, type WeightedAdapter } from "../lora/index.ts";
import { frozenModules, storedTensors, type Base, type Model } from "../models/index.ts";
import { modulesOf, viewOf, type Modules } from "../nn/index.ts";
import type { Backend, Resident } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";

/** A model as it generates: modules for one program at a time, and what their inputs are fed. */
export interface Inference {
  readonly model: Model;
  modules(): Modules;
  readonly feeds: Readonly<Record<string, Resident>>;
}

/** The base alone. */
export const baseInference = (base: Base): Inference => ({ model: base.model, modules: () => frozenModules(base), feeds: {} });

/** The base with adapters beside it: h = xW + Σ weight·s·xAB. A and B stay with the backend. */
export const adaptedInference = async (backend: Backend, base: Base, adapters: readonly WeightedAdapter[]): Promise<Inference> => {
  const feeds: Record<string, Resident> = {};
  const nameOf = (index: number, slot: string): string => `adapter.${index}.${slot}`;
  for (const [index, { adapter, parameters }] of adapters.entries())
    for (const slot of adapter.layout.slots)
      feeds[nameOf(index, slot.name)] = await backend.upload(f32(viewOf(parameters, slot).slice(), slot.shape));
  const activate = ({ adapter, weight }: WeightedAdapter, index: number): ActiveAdapter => ({
    adapter,
    weight,
    tensors: new Map(adapter.layout.slots.map(({ name, shape }) => [name, input(nameOf(index, name), shape)])),
  });
  return {
    model: base.model,
    modules: () => adaptedModules({ model: base.model, find: storedTensors(base), active: adapters.map(activate) }),
    feeds,
  };
};

/** What the base becomes with the adapters folded in: each changed tensor by its name in the checkpoint, one at a time. */
export async function* mergedTensors(
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
): AsyncGenerator<[name: string, tensor: HostTensor]> {
  const find = storedTensors(base);
  for (const { module } of base.model.linears) {
    const W = find(`${module}.weight`);
    const merged = W && (await mergeModule(backend, module, W, adapters));
    if (merged !== undefined) yield [`${module}.weight`, merged];
  }
  for (const { adapter, parameters } of adapters)
    for (const slot of adapter.layout.slots)
      if (slot.role === "weight" || slot.role === "bias") yield [slot.name, f32(viewOf(parameters, slot).slice(), slot.shape)];
}

/** The base with the adapters folded into its weights: as fast as the base alone; the changed weights stay with the backend. */
export const mergedInference = async (backend: Backend, base: Base, adapters: readonly WeightedAdapter[]): Promise<Inference> => {
  const feeds: Record<string, Resident> = {};
  for await (const [name, tensor] of mergedTensors(backend, base, adapters)) feeds[name] = await backend.upload(tensor);
  return {
    model: base.model,
    modules: () => {
      const made = new Map<string, Tensor>();
      const stored = storedTensors(base);
      const find = (name: string): Tensor | undefined => {
        const resident = feeds[name];
        if (resident === undefined) return stored(name);
        const tensor = made.get(name) ?? input(name, resident.shape);
        made.set(name, tensor);
        return tensor;
      };
      return modulesOf({ find, aliases: base.model.aliases });
    },
    feeds,
  };
};
