/** @file The low-rank factors of an adapter, for formats that hold nothing else, and adapters made of factors. It knows no format. */
import { loraConfig, planAdapter, type AdapterTarget, type LoraConfig, type StoredAdapter } from "../lora/index.ts";
import type { Model } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { f32, LowrankError, type HostTensor } from "../util/index.ts";

/** The factors of one module: A (in, r) and B (r, out), as in h = xW + s·xAB. */
export interface Factors {
  readonly module: string;
  readonly A: HostTensor;
  readonly B: HostTensor;
}

/** Factors with the target that they belong to. */
export interface TargetFactors extends Factors {
  readonly target: AdapterTarget;
}

/** The factors of every target; an adapter with any other tensor is refused with their names. `format` begins the sentence. */
export const factorsOf = ({ adapter, parameters }: StoredAdapter, format: string): TargetFactors[] => {
  const slots = new Map(adapter.layout.slots.map((slot) => [slot.name, slot]));
  const take = (name: string): HostTensor => {
    const slot = slots.get(name)!;
    slots.delete(name);
    return f32(viewOf(parameters, slot), slot.shape);
  };
  const factors = [...adapter.targets.values()]
    .filter(({ module }) => slots.has(`${module}.lora_A`) && slots.has(`${module}.lora_B`))
    .map((target) => ({ target, module: target.module, A: take(`${target.module}.lora_A`), B: take(`${target.module}.lora_B`) }));
  if (slots.size > 0) {
    const names = [...slots.keys()];
    const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
    throw new LowrankError(
      "unsupported",
      `${format} holds low-rank factors alone; this adapter has ${names.slice(0, 3).join(", ")}${more} as well.`,
      {
        fix: "Write the merged model instead: `lowrank merge`.",
      },
    );
  }
  return factors;
};

/** The value that occurs most often, the first of several. */
export const mostFrequent = <T>(values: readonly T[]): T => {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
};

/**
 * A plain adapter of factors whose scaling is α/r with one α for all, or 1 where α is undefined. Shapes must be the model's; `where`
 * names the file in errors.
 */
export const adapterOf = (
  model: Model,
  factors: readonly Factors[],
  { alpha, ...config }: { readonly alpha: number | undefined } & Partial<LoraConfig>,
  where: string,
): StoredAdapter => {
  if (factors.length === 0) throw new LowrankError("invalid-file", "The file holds no low-rank factors.", { where });
  const rankOf = ({ A }: Factors): number => A.shape[1];
  const r = mostFrequent(factors.map(rankOf));
  const others = factors.filter((one) => rankOf(one) !== r).map((one): [string, number] => [one.module, rankOf(one)]);
  const rank_pattern = Object.fromEntries(others);
  const adapter = planAdapter(
    model,
    loraConfig({
      ...config,
      r,
      lora_alpha: alpha ?? r,
      rank_pattern,
      alpha_pattern: alpha === undefined ? rank_pattern : {},
      target_modules: factors.map(({ module }) => module),
    }),
  );
  const parameters = new Float32Array(adapter.layout.size);
  const tensors = new Map<string, HostTensor>(
    factors.flatMap(({ module, A, B }): [string, HostTensor][] => [
      [`${module}.lora_A`, A],
      [`${module}.lora_B`, B],
    ]),
  );
  for (const slot of adapter.layout.slots) {
    const tensor = tensors.get(slot.name)!;
    if (tensor.shape.join() !== slot.shape.join())
      throw new LowrankError(
        "adapter-mismatch",
        `${slot.name} is [${tensor.shape.join(", ")}] where the model needs [${slot.shape.join(", ")}].`,
        {
          where,
          fix: "Name the base that the adapter was trained on with --model.",
        },
      );
    viewOf(parameters, slot).set(tensor.data as Float32Array);
  }
  return { adapter, parameters, frozen: new Float32Array(adapter.frozen.size) };
};
