/** @file Measures generation of several texts in one batch, each with an adapter of its own where adapters work beside the base. It prints nothing. */
import { adapterCache, batchDecoder, type BatchDecoder, type Inference, type Programs, type RowAdapter } from "../../generate/index.ts";
import type { StoredAdapter } from "../../lora/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { median } from "./machine.ts";

// More than the adapters of any batch take; memory is taken as they come.
const adapterBytes = 2 ** 34;

export interface BatchedBench {
  /** Seconds of one prompt, at the median of the rows but the first, which compiles. */
  readonly prefill: number;
  /** Seconds of one token of each row, at the median. */
  readonly decode: number;
  /** When the first logits came, by `performance.now()`. */
  readonly firstLogits: number;
}

export interface BatchedBenchOptions {
  readonly rows: number;
  /** Makes the adapter of a row; undefined where rows have none. */
  readonly adapterOf: ((row: number) => Promise<StoredAdapter>) | undefined;
  readonly prompt: readonly number[];
  readonly tokens: number;
  readonly warmupTokens: number;
}

const secondsOf = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

/** Reads a prompt into every row and appends tokens to all of them at once. */
export const measureBatch = async (
  backend: Backend,
  inference: Inference,
  { rows, adapterOf, prompt, tokens, warmupTokens }: BatchedBenchOptions,
): Promise<BatchedBench> => {
  const programs: Programs = new Map();
  const batch: BatchDecoder = batchDecoder(backend, inference, programs);
  const cache = adapterCache(backend, adapterBytes);
  const adaptersOf = async (row: number): Promise<RowAdapter[]> =>
    adapterOf === undefined ? [] : [{ ...(await cache.acquire({ digest: `row ${row}`, load: () => adapterOf(row) })), weight: 1 }];
  const prompts: number[] = [];
  let firstLogits = 0;
  for (let row = 0; row < rows; row++) {
    const adapters = await adaptersOf(row);
    prompts.push(await secondsOf(() => batch.join(row, prompt, adapters)));
    firstLogits ||= performance.now();
  }
  const steps: number[] = [];
  for (let index = 0; index < warmupTokens + tokens; index++) {
    const next = new Map(Array.from({ length: rows }, (_, row) => [row, prompt[(index + row) % prompt.length]]));
    steps.push(await secondsOf(() => batch.step(next)));
  }
  return { prefill: median(prompts.slice(1)), decode: median(steps.slice(warmupTokens)), firstLogits };
};
