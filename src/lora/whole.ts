/** @file Tensors that adapters train whole (biases, norms, heads), mixed by the adapters' weights. It knows nothing about low-rank updates. */
import { storedValues, type Base } from "../models/index.ts";
import { viewOf, type ParameterSlot } from "../nn/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import type { WeightedAdapter } from "./merge.ts";

/** True for a tensor that takes the place of the base's, rather than one of a low-rank pair. */
export const isWhole = ({ role }: Pick<ParameterSlot, "role">): boolean => role === "weight" || role === "bias";

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
