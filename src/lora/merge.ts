/** @file Folds adapters into the base's weights and out again, module by module on a backend. It knows nothing about files. */
import { input, program, type Tensor } from "../graph/index.ts";
import { viewOf, type ParameterSlot } from "../nn/index.ts";
import type { Backend, Feed } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import type { StoredAdapter } from "./store.ts";

/** An adapter with the strength at which it is folded in. */
export interface WeightedAdapter extends StoredAdapter {
  readonly weight: number;
}

interface Folding {
  readonly adapters: readonly WeightedAdapter[];
  readonly direction: "merge" | "unmerge";
}

/**
 * W′ of one module from W (out, in), or back. Adapters are folded in one after another and out in the opposite order.
 * Undefined where no adapter targets the module.
 */
const foldModule = async (
  backend: Backend,
  module: string,
  W: Tensor,
  feeds: Readonly<Record<string, Feed>>,
  { adapters, direction }: Folding,
) => {
  const fed: Record<string, Feed> = { ...feeds };
  let folded = W;
  for (const [index, { adapter, parameters, weight }] of (direction === "merge" ? adapters : adapters.toReversed()).entries()) {
    const target = adapter.targets.get(module);
    if (target === undefined) continue;
    const slots = new Map<string, ParameterSlot>(adapter.layout.slots.map((slot) => [slot.name, slot]));
    const tensors = new Map(
      adapter.variant.parameters(target).map(({ name, shape }) => {
        const key = `${name}.${index}`;
        fed[key] = f32(viewOf(parameters, slots.get(`${module}.${name}`)!), shape);
        return [name, input(key, shape)];
      }),
    );
    folded = adapter.variant[direction]({ ...target, scaling: target.scaling * weight }, (name) => tensors.get(name)!, folded);
  }
  if (folded === W) return undefined;
  const executable = await backend.compile(program({ folded }));
  const { folded: result } = await executable.run(fed);
  await executable.dispose();
  return result as HostTensor;
};

/** The merged weight of a module; `W` is the base's. Undefined where no adapter targets it. */
export const mergeModule = (
  backend: Backend,
  module: string,
  W: Tensor,
  adapters: readonly WeightedAdapter[],
): Promise<HostTensor | undefined> => foldModule(backend, module, W, {}, { adapters, direction: "merge" });

/** The base's weight of a module from a merged one: the inverse of `mergeModule`. */
export const unmergeModule = (
  backend: Backend,
  module: string,
  merged: HostTensor,
  adapters: readonly WeightedAdapter[],
): Promise<HostTensor | undefined> =>
  foldModule(backend, module, input("merged", merged.shape), { merged }, { adapters, direction: "unmerge" });
