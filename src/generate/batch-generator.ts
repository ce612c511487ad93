/** @file Many texts at once over one base, each with adapters of its own. It knows nothing about where models and adapters come from. */
import type { Tokenizer } from "../formats/index.ts";
import { disposePrograms, type Backend, type Programs } from "../runtime/index.ts";
import type { AdapterCache, AdapterSource } from "./adapter-cache.ts";
import { batchDecoder } from "./batch-decoder.ts";
import type { Decoder } from "./decoder.ts";
import type { FinishReason, GenerateOptions } from "./generate.ts";
import type { Inference } from "./inference.ts";
import { sharedBatch, type WeightedLease } from "./shared-batch.ts";
import { checkWrites, textAfter } from "./text-after.ts";

/** An adapter of a text, and how strongly it acts: 1 as trained. */
export interface AdapterUse {
  readonly source: AdapterSource;
  readonly weight: number;
}

export interface RowOptions extends GenerateOptions {
  /** Adapters at work in this text alone; default none. */
  readonly adapters?: readonly AdapterUse[];
}

export interface BatchGenerator {
  /** Starts a sequence with adapters; it waits while all rows are taken. */
  decoder(adapters?: readonly AdapterUse[]): Promise<Decoder>;
  /** Text after a prompt. Texts that are under way at the same time share the model's runs, and give what each would give alone. */
  text(prompt: string | readonly number[], options?: RowOptions): AsyncGenerator<string, FinishReason>;
  /** Frees its programs and its rows; the adapters stay in their cache. */
  close(): Promise<void>;
}

/** A generator of at most `rows` texts at once, which takes the inference over. */
export const createBatchGenerator = (
  backend: Backend,
  tokenizer: Tokenizer,
  inference: Inference,
  { cache, rows }: { readonly cache: AdapterCache; readonly rows: number },
): BatchGenerator => {
  const programs: Programs = new Map();
  const { model } = inference;
  checkWrites(model);
  const batch = batchDecoder(backend, inference, programs);
  const shared = sharedBatch(batch, rows);
  const acquire = async (adapters: readonly AdapterUse[]): Promise<WeightedLease[]> => {
    const held: WeightedLease[] = [];
    try {
      for (const { source, weight } of adapters) held.push({ ...(await cache.acquire(source)), weight });
      return held;
    } catch (error) {
      for (const lease of held) lease.release();
      throw error;
    }
  };
  const decoder = (adapters: readonly AdapterUse[] = []): Promise<Decoder> => shared.decoder(() => acquire(adapters));
  return {
    decoder,
    text: (prompt, { adapters, ...options } = {}) =>
      textAfter({ model, tokenizer, longest: batch.longest, decoder: () => decoder(adapters) }, prompt, options),
    close: async () => {
      await batch.dispose();
      await disposePrograms(programs);
      await inference.dispose();
    },
  };
};
