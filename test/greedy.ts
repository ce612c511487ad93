/** @file The likeliest tokens one after another, for tests that compare them with another implementation's. It knows nothing about tokenizers. */
import { adaptedInference, createDecoder, type Programs } from "../src/generate/index.ts";
import type { WeightedAdapter } from "../src/lora/index.ts";
import type { Base } from "../src/models/index.ts";
import type { Backend } from "../src/runtime/index.ts";

/** So many tokens after those given, of base and adapters; everything is freed. */
export const greedy = async (
  backend: Backend,
  base: Base,
  ids: readonly number[],
  count: number,
  adapters: readonly WeightedAdapter[] = [],
): Promise<number[]> => {
  const inference = await adaptedInference(backend, base, adapters);
  const programs: Programs = new Map();
  const decoder = await createDecoder(backend, inference, programs, ids.length + count);
  const generated: number[] = [];
  for (let next = [...ids]; generated.length < count; next = generated.slice(-1)) {
    const logits = await decoder.append(next);
    generated.push(logits.indexOf(Math.max(...logits)));
  }
  await decoder.dispose();
  for (const executable of programs.values()) await (await executable).dispose();
  await inference.dispose();
  return generated;
};
