/** @file A base made ready to generate: alone, with adapters beside it, or with adapters folded in. It knows nothing about tokens. */
import { temporaryWeights, type RoundedTensor, type TemporaryWeights } from "../formats/index.ts";
import { input, type Tensor } from "../graph/index.ts";
import {
  adaptedModules,
  findBase,
  isWhole,
  mergedTensors,
  mixedTensors,
  valuesOf,
  type ActiveAdapter,
  type Adapter,
  type WeightedAdapter,
} from "../lora/index.ts";
import { frozenModules, modelModules, roundedLinear, roundedLinears, storedTensors, type Base, type Model } from "../models/index.ts";
import { precisions, withoutParts, type Modules, type ParameterSlot } from "../nn/index.ts";
import type { Backend, Resident } from "../runtime/index.ts";
import type { HostTensor } from "../util/index.ts";

/** A model as it generates: modules for one program at a time, and what their inputs are fed. */
export interface Inference {
  readonly model: Model;
  modules(): Modules;
  readonly feeds: Readonly<Record<string, Resident>>;
  /** Frees what stays with the backend; programs that are fed from here cannot run afterwards. */
  dispose(): Promise<void>;
}

/** The base alone. */
export const baseInference = (base: Base): Inference => ({
  model: base.model,
  modules: () => frozenModules(base),
  feeds: {},
  dispose: () => Promise.resolve(),
});

/** Uploads one tensor after the other, once for names that have the same maker; where one fails, those before it are freed. */
const uploadAll = async (
  backend: Backend,
  tensors: Iterable<readonly [name: string, make: () => Promise<HostTensor>]>,
): Promise<Pick<Inference, "feeds" | "dispose">> => {
  const feeds: Record<string, Resident> = {};
  const dispose = async (): Promise<void> => {
    for (const resident of Object.values(feeds)) await backend.release(resident);
  };
  const uploaded = new Map<() => Promise<HostTensor>, Resident>();
  try {
    for (const [name, make] of tensors) {
      const resident = uploaded.get(make) ?? (await backend.upload(await make()));
      uploaded.set(make, resident);
      feeds[name] = resident;
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { feeds, dispose };
};

/** Finds tensors by name: those that are fed, those of a file that stand before the base's, and the base's. */
const fedOver = (
  base: Base,
  feeds: Readonly<Record<string, Resident>>,
  file: TemporaryWeights["locations"] = new Map(),
): ((name: string) => Tensor | undefined) => {
  const weights = new Map([...base.weights, ...file]);
  const stored = withoutParts(storedTensors({ model: base.model, weights }), (weight) => feeds[weight] !== undefined);
  const made = new Map<string, Tensor>();
  return (name) => {
    const resident = feeds[name];
    if (resident === undefined) return findBase(base.model, stored, name);
    const tensor = made.get(name) ?? input(name, resident.shape, resident.dtype);
    made.set(name, tensor);
    return tensor;
  };
};

// What is trained whole is mixed into the base instead.
const ownSlots = ({ layout, frozen }: Adapter): ParameterSlot[] => [...layout.slots.filter((slot) => !isWhole(slot)), ...frozen.slots];

/** The base with adapters beside it: h = xW + Σ weight·s·xAB. Their tensors stay with the backend. */
export const adaptedInference = async (backend: Backend, base: Base, adapters: readonly WeightedAdapter[]): Promise<Inference> => {
  const nameOf = (index: number, slot: string): string => `adapter.${index}.${slot}`;
  const factors = adapters.flatMap((stored, index) => {
    const values = valuesOf(stored);
    return ownSlots(stored.adapter).map(({ name }) => [nameOf(index, name), () => Promise.resolve(values.get(name)!)] as const);
  });
  const { feeds, dispose } = await uploadAll(backend, [...factors, ...mixedTensors(base, adapters)]);
  const activate = ({ adapter, weight }: WeightedAdapter, index: number): ActiveAdapter => ({
    adapter,
    weight,
    tensors: new Map(ownSlots(adapter).map(({ name, shape }) => [name, input(nameOf(index, name), shape)])),
  });
  return {
    model: base.model,
    modules: () => adaptedModules({ model: base.model, find: fedOver(base, feeds), active: adapters.map(activate) }),
    feeds,
    dispose,
  };
};

type Makers = ReadonlyMap<string, () => Promise<HostTensor>>;

/** Splits off the weights of linear modules that the base holds in fewer bits, as the parts that programs multiply with. */
const rounded = ({ model, precision }: Base, tensors: Makers): { readonly parts: readonly RoundedTensor[]; readonly others: Makers } => {
  if (precision === undefined) return { parts: [], others: tensors };
  const linears = new Map(roundedLinears(model, precision).map((linear) => [`${linear.module}.weight`, linear]));
  const parts: RoundedTensor[] = [];
  const { shapes, back } = precisions[precision];
  for (const [name, linear] of linears) {
    const make = tensors.get(name);
    if (make === undefined) continue;
    const types = Object.entries(shapes(linear.outFeatures, linear.inFeatures)).filter(([part]) => !back.includes(part));
    let made: Promise<Readonly<Record<string, HostTensor>>> | undefined;
    for (const [index, [part, type]] of types.entries())
      parts.push({
        name: `${linear.module}.${part}`,
        ...type,
        make: async () => {
          made ??= make().then(({ data }) => roundedLinear(precision, linear, data as Float32Array));
          const tensor = (await made)[part];
          if (index === types.length - 1) made = undefined;
          return tensor;
        },
      });
  }
  return { parts, others: new Map([...tensors].filter(([name]) => !linears.has(name))) };
};

/**
 * The base with the adapters folded into its weights: as fast as the base alone. The changed weights stay with the backend; rounded ones are
 * mapped from a file instead, because the runtime multiplies fast only with what it can put into an order of its own beforehand.
 */
export const mergedInference = async (backend: Backend, base: Base, adapters: readonly WeightedAdapter[]): Promise<Inference> => {
  const { parts, others } = rounded(base, mergedTensors(backend, base, adapters));
  const file = parts.length === 0 ? undefined : await temporaryWeights(parts);
  try {
    const uploaded = await uploadAll(backend, others);
    return {
      model: base.model,
      modules: () => modelModules(base.model, fedOver(base, uploaded.feeds, file?.locations)),
      feeds: uploaded.feeds,
      dispose: async () => {
        await uploaded.dispose();
        await file?.dispose();
      },
    };
  } catch (error) {
    await file?.dispose();
    throw error;
  }
};
