/** @file The low-rank factors of an adapter, for formats that hold nothing else, and adapters made of factors. It knows no format. */
import { loraConfig, planAdapter, savedContent, valuesOf, type LoraConfig, type StoredAdapter } from "../lora/index.ts";
import type { Model } from "../models/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";

/** The factors of one module: A (in, r) and B (r, out), as in h = xW + s·xAB. */
export interface Factors {
  readonly module: string;
  readonly A: HostTensor;
  readonly B: HostTensor;
}

/** Factors with their scaling s. */
export interface ScaledFactors extends Factors {
  readonly scaling: number;
  readonly rank: number;
}

/** The factors of every target; an adapter with any other tensor is refused with their names. `format` begins the sentence. */
export const factorsOf = (stored: StoredAdapter, format: string): ScaledFactors[] => {
  const { targets, tensors } = savedContent(stored);
  const left = new Set(tensors.keys());
  const take = (name: string): HostTensor => {
    left.delete(name);
    return tensors.get(name)!;
  };
  const factors = [...targets.values()]
    .map(({ module, kind, scaling }) => ({ module, scaling, names: [kind.A.name, kind.B.name].map((name) => `${module}.${name}`) }))
    .filter(({ names }) => names.every((name) => tensors.has(name)))
    .map(({ module, scaling, names }) => {
      const [A, B] = names.map(take);
      return { module, scaling, rank: A.shape[1], A, B };
    });
  if (left.size > 0) {
    const names = [...left];
    const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
    throw new LowrankError(
      "unsupported",
      `${format} holds low-rank factors alone; this adapter has ${names.slice(0, 3).join(", ")}${more} as well.`,
      { fix: "Write the merged model instead: `lowrank merge`." },
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
  const stored: StoredAdapter = { adapter, parameters: new Float32Array(adapter.layout.size), frozen: new Float32Array(0) };
  const values = valuesOf(stored);
  for (const { module, A, B } of factors) {
    const { kind } = adapter.targets.get(module)!;
    for (const [name, tensor] of [
      [`${module}.${kind.A.name}`, A],
      [`${module}.${kind.B.name}`, B],
    ] as const) {
      const { shape, data } = values.get(name)!;
      if (tensor.shape.join() !== shape.join())
        throw new LowrankError("adapter-mismatch", `${name} is [${tensor.shape.join(", ")}] where the model needs [${shape.join(", ")}].`, {
          where,
          fix: "Name the base that the adapter was trained on with --model.",
        });
      (data as Float32Array).set(tensor.data as Float32Array);
    }
  }
  return stored;
};
