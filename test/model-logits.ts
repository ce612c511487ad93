/** @file Logits of a model with adapters, for tests that compare ways to the same numbers. It knows nothing about tokenizers. */
import { adaptedInference, createDecoder, mergedInference, type Programs } from "../src/generate/index.ts";
import type { WeightedAdapter } from "../src/lora/index.ts";
import type { Base } from "../src/models/index.ts";
import type { Backend } from "../src/runtime/index.ts";

export const ways = { beside: adaptedInference, folded: mergedInference };

/** Logits (V) after a few tokens of base and adapters, which act beside the base or folded in; everything is freed. */
export const logitsAfter = async (
  backend: Backend,
  base: Base,
  ids: readonly number[],
  adapters: readonly WeightedAdapter[] = [],
  way: keyof typeof ways = "beside",
): Promise<Float32Array> => {
  const inference = await ways[way](backend, base, adapters);
  const programs: Programs = new Map();
  const decoder = await createDecoder(backend, inference, programs, ids.length);
  const logits = await decoder.append(ids);
  await decoder.dispose();
  for (const executable of programs.values()) await (await executable).dispose();
  await inference.dispose();
  return logits;
};

export const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index])), 0);
