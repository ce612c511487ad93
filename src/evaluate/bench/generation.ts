/** @file Measures generation on random tokens: a prompt at once, then token by token over its cache. It prints nothing. */
import { adaptedInference, baseInference, createDecoder, mergedInference, type Decoder, type Inference } from "../../generate/index.ts";
import { loraConfig, planAdapter, startAdapter, type WeightedAdapter } from "../../lora/index.ts";
import { type Base } from "../../models/index.ts";
import { checkDevice, ortBackend, type Backend, type OrtOptions } from "../../runtime/index.ts";
import { hashText, random } from "../../util/index.ts";
import { measureBatch } from "./batched-generation.ts";
import { median, observeMachine, type MachineReport } from "./machine.ts";

/** What generates: the base alone, with an adapter beside it, or with one folded into its weights. */
export type AdapterUse = "none" | "beside" | "merged";

export interface GenerationBenchOptions {
  /** Texts at once, each with an adapter of its own where they work beside the base. Default 1. */
  readonly batchSize?: number;
  /** Tokens of the prompt. */
  readonly past: number;
  /** Tokens generated after it that count; two before them do not. */
  readonly tokens: number;
  readonly adapter: AdapterUse;
  /** Rank of the adapter, which is on every linear module. */
  readonly rank: number;
  readonly seed: number;
}

export interface GenerationBench extends MachineReport {
  /** Of the prompt, at the median of three. */
  readonly prefillTokensPerSecond: number;
  /** Of all texts together, at the median token. */
  readonly decodeTokensPerSecond: number;
  readonly millisecondsPerToken: number;
  /** From the beginning to the first logits: sessions, adapter and prompt. */
  readonly firstTokenSeconds: number;
}

const warmupTokens = 2;
const prefills = 3;

const randomAdapter = async (base: Base, rank: number, seed: number): Promise<WeightedAdapter> => {
  const adapter = planAdapter(base.model, loraConfig({ r: rank, lora_alpha: 2 * rank, init_lora_weights: false }));
  return { ...(await startAdapter(adapter, base, seed)), weight: 1 };
};

const inferenceOf = async (backend: Backend, base: Base, { adapter, rank, seed }: GenerationBenchOptions): Promise<Inference> => {
  if (adapter === "none") return baseInference(base);
  const adapters = [await randomAdapter(base, rank, seed)];
  return adapter === "merged" ? mergedInference(backend, base, adapters) : adaptedInference(backend, base, adapters);
};

const secondsOf = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

const measure = async (decoder: Decoder, prompt: readonly number[], tokens: number): Promise<{ prefill: number; decode: number }> => {
  const prompts: number[] = [];
  for (let index = 0; index < prefills; index++) {
    decoder.rewind(0);
    prompts.push(await secondsOf(() => decoder.append(prompt)));
  }
  const each: number[] = [];
  for (let index = 0; index < warmupTokens + tokens; index++)
    each.push(await secondsOf(() => decoder.append([prompt[index % prompt.length]])));
  return { prefill: median(prompts), decode: median(each.slice(warmupTokens)) };
};

/**
 * Reads a prompt and generates after it, and says how fast that was.
 * @example const { decodeTokensPerSecond } = await benchGeneration(base, { past: 512, tokens: 32, adapter: "none", rank: 16, seed: 0 });
 */
export const benchGeneration = async (base: Base, options: GenerationBenchOptions, place: OrtOptions = {}): Promise<GenerationBench> => {
  const { batchSize = 1, past, tokens, adapter, rank, seed } = options;
  await checkDevice(place);
  const report = observeMachine(place.threads);
  const began = performance.now();
  const backend = ortBackend(place);
  try {
    const generator = random(seed, hashText("bench"));
    const prompt = Array.from({ length: past }, () => generator.integer(base.model.vocabularySize));
    if (batchSize > 1) {
      const adapterOf = adapter === "beside" ? (row: number) => randomAdapter(base, rank, seed + row) : undefined;
      const inference = adapter === "beside" ? baseInference(base) : await inferenceOf(backend, base, options);
      const measured = await measureBatch(backend, inference, { rows: batchSize, adapterOf, prompt, tokens, warmupTokens });
      return {
        prefillTokensPerSecond: past / measured.prefill,
        decodeTokensPerSecond: batchSize / measured.decode,
        millisecondsPerToken: measured.decode * 1000,
        firstTokenSeconds: (measured.firstLogits - began) / 1000,
        ...report(),
      };
    }
    const inference = await inferenceOf(backend, base, options);
    const decoder = await createDecoder(backend, inference, new Map(), past + warmupTokens + tokens);
    await decoder.append(prompt);
    const firstTokenSeconds = (performance.now() - began) / 1000;
    const { prefill, decode } = await measure(decoder, prompt, tokens);
    await decoder.dispose();
    await inference.dispose();
    return {
      prefillTokensPerSecond: past / prefill,
      decodeTokensPerSecond: 1 / decode,
      millisecondsPerToken: decode * 1000,
      firstTokenSeconds,
      ...report(),
    };
  } finally {
    await backend.dispose();
  }
};
