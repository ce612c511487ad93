/** @file The low-rank factors of an adapter, for formats that hold nothing else, and adapters made of factors. It knows no format. */
import { loraConfig, planAdapter, savedContent, valuesOf, type LoraConfig, type StoredAdapter } from "../lora/index.ts";
import type { Model } from "../models/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";

/** The factors of one module: A (in, r) and B (r, out), as in h = xW + s·xAB. */
export interface Factors {
  readonly module: string;
  readonly A: HostTensor;
  readonly B: HostTensor;
  /** DoRA's magnitude of each output (out); default none. */
  readonly magnitude?: HostTensor;
}

const magnitudeName = "lora_magnitude_vector";

/** Factors with their scaling s. */
export interface ScaledFactors extends Factors {
  readonly scaling: number;
  readonly rank: number;
}

/** What a format holds beside A and B. */
export interface FactorsFormat {
  /** Begins sentences about it. */
  readonly name: string;
  /** Default no. */
  readonly magnitudes?: boolean;
}

/** The factors of every target; an adapter with any tensor that the format does not hold is refused with their names. */
export const factorsOf = (stored: StoredAdapter, format: FactorsFormat): ScaledFactors[] => {
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
      const magnitude = `${module}.${magnitudeName}`;
      const hasMagnitude = format.magnitudes === true && tensors.has(magnitude);
      return { module, scaling, rank: A.shape[1], A, B, ...(hasMagnitude && { magnitude: take(magnitude) }) };
    });
  if (left.size > 0) {
    const names = [...left];
    const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
    throw new LowrankError(
      "unsupported",
      `${format.name} holds low-rank factors alone; this adapter has ${names.slice(0, 3).join(", ")}${more} as well.`,
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
  for (const { module, A, B, magnitude } of factors) {
    const { kind } = adapter.targets.get(module)!;
    const given: readonly (readonly [string, HostTensor])[] = [
      [`${module}.${kind.A.name}`, A],
      [`${module}.${kind.B.name}`, B],
      ...(magnitude === undefined ? [] : [[`${module}.${magnitudeName}`, magnitude] as const]),
    ];
    for (const [name, tensor] of given) {
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
