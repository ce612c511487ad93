/** @file Folds adapters into the base's weights and out again, tensor by tensor on a backend. It knows nothing about files. */
import { input, program, transpose, type Tensor } from "../graph/index.ts";
import { storedTensors, storedValues, type Base } from "../models/index.ts";
import { viewOf, type ParameterSlot } from "../nn/index.ts";
import type { Backend, Feed } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { findBase } from "./adapter.ts";
import type { StoredAdapter } from "./store.ts";
import { mixedTensors } from "./whole.ts";

/** An adapter with the strength at which it is folded in. */
export interface WeightedAdapter extends StoredAdapter {
  readonly weight: number;
}

interface Folding {
  readonly adapters: readonly WeightedAdapter[];
  readonly direction: "merge" | "unmerge";
}

/**
 * W′ of one module from W, both as the checkpoint holds them, or back. Adapters are folded in one after another and out in the opposite order.
 * Undefined where no adapter targets the module.
 */
const foldModule = async (backend: Backend, module: string, W: Tensor | HostTensor, { adapters, direction }: Folding) => {
  const feeds: Record<string, Feed> = "data" in W ? { W } : {};
  const given = "data" in W ? input("W", W.shape) : W;
  let folded = given;
  for (const [index, { adapter, parameters, weight }] of (direction === "merge" ? adapters : adapters.toReversed()).entries()) {
    const target = adapter.targets.get(module);
    if (target === undefined) continue;
    const slots = new Map<string, ParameterSlot>(adapter.layout.slots.map((slot) => [slot.name, slot]));
    const tensors = new Map(
      adapter.variant.parameters(target).map(({ name, shape }) => {
        const key = `${name}.${index}`;
        feeds[key] = f32(viewOf(parameters, slots.get(`${module}.${name}`)!), shape);
        return [name, input(key, shape)];
      }),
    );
    const turn = (weights: Tensor): Tensor => (target.turned ? transpose(weights, [1, 0]) : weights);
    const weighted = { ...target, scaling: target.scaling * weight };
    folded = turn(adapter.variant[direction](weighted, (name) => tensors.get(name)!, turn(folded)));
  }
  if (folded === given) return undefined;
  const executable = await backend.compile(program({ folded }));
  const { folded: result } = await executable.run(feeds);
  await executable.dispose();
  return result as HostTensor;
};

/** The merged weight of a module; `W` is the base's. Undefined where no adapter targets it. */
export const mergeModule = (
  backend: Backend,
  module: string,
  W: Tensor | HostTensor,
  adapters: readonly WeightedAdapter[],
): Promise<HostTensor | undefined> => foldModule(backend, module, W, { adapters, direction: "merge" });

/** The base's weight of a module from a merged one: the inverse of `mergeModule`. */
export const unmergeModule = (
  backend: Backend,
  module: string,
  merged: HostTensor,
  adapters: readonly WeightedAdapter[],
): Promise<HostTensor | undefined> => foldModule(backend, module, merged, { adapters, direction: "unmerge" });

/**
 * How to make each tensor that the adapters change, by its name in the checkpoint; nothing is computed before it is asked for.
 * A tied head becomes a tensor of its own where an adapter changes it or its embedding.
 */
export const mergedTensors = (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
): Map<string, () => Promise<HostTensor>> => {
  const find = storedTensors(base);
  const changed = mixedTensors(base, adapters);
  for (const { module } of base.model.linears) {
    if (!adapters.some(({ adapter }) => adapter.targets.has(module))) continue;
    const name = `${module}.weight`;
    // One adapter may train whole what another one updates.
    const mixed = changed.get(name);
    const stored = findBase(base.model, find, name)!;
    changed.set(name, async () => (await mergeModule(backend, module, (await mixed?.()) ?? stored, adapters))!);
  }
  for (const [name, source] of Object.entries(base.model.aliases)) {
    const { shape } = base.weights.get(source)!;
    if (changed.has(source) && !changed.has(name)) changed.set(name, async () => f32(await storedValues(base, source), shape));
  }
  return changed;
};
