/**
 * @file Many texts, each with adapters of its own, whatever their kinds: those that can be mixed share one batch, the others have one for each
 * choice of adapters. It knows nothing about where adapters come from.
 */
import type { Tokenizer } from "../formats/index.ts";
import type { Base } from "../models/index.ts";
import type { Backend } from "../runtime/index.ts";
import type { AdapterCache } from "./adapter-cache.ts";
import { canMix, choiceKey, inferenceUnder } from "./adapter-choice.ts";
import { createBatchGenerator, type AdapterUse } from "./batch-generator.ts";
import type { FinishReason, GenerateOptions } from "./generate.ts";
import { createGenerator } from "./generator.ts";
import { baseInference } from "./inference.ts";

export interface TextRequest {
  /** A text, or token ids that begin with BOS where the model wants one. */
  readonly prompt: string | readonly number[];
  readonly adapters: readonly AdapterUse[];
}

export interface WrittenText {
  readonly text: string;
  readonly finishReason: FinishReason;
}

/** A model and where its adapters are kept; as many texts as `rows` are under way at once. */
export interface TextWriter {
  readonly backend: Backend;
  readonly base: Base;
  readonly tokenizer: Tokenizer;
  readonly cache: AdapterCache;
  readonly rows: number;
}

/** Works on items in order, so many at once. After a failure nothing more is begun, and what is under way comes to its end. */
const inParallel = async <Item>(items: readonly Item[], count: number, work: (item: Item) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async (): Promise<void> => {
    try {
      while (next < items.length) await work(items[next++]);
    } finally {
      next = Math.max(next, items.length);
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: count }, worker));
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
};

/**
 * Writes the texts, each as it would be alone, and hands them over as they are done. The adapters of texts further on are loaded meanwhile.
 * The first failure ends it.
 */
export const writeTexts = async (
  { backend, base, tokenizer, cache, rows }: TextWriter,
  requests: readonly TextRequest[],
  options: GenerateOptions,
  onText: (index: number, written: WrittenText) => void,
): Promise<void> => {
  const sharesBatches = base.model.decoderStart === undefined;
  const write = async (index: number, pieces: AsyncGenerator<string, FinishReason>): Promise<void> => {
    let text = "";
    let next = await pieces.next();
    for (; next.done !== true; next = await pieces.next()) text += next.value;
    onText(index, { text, finishReason: next.value });
  };

  const writeMixed = async (): Promise<number[]> => {
    const apart: number[] = [];
    const generator = createBatchGenerator(backend, tokenizer, baseInference(base), { cache, rows });
    try {
      await inParallel([...requests.keys()], rows, async (index) => {
        const { prompt, adapters } = requests[index];
        const shares = await canMix(cache, adapters);
        cache.expect(requests.slice(index + 1, index + 1 + rows).flatMap((next) => next.adapters.map(({ source }) => source)));
        if (shares) await write(index, generator.text(prompt, { ...options, adapters }));
        else apart.push(index);
      });
    } finally {
      await generator.close();
    }
    return apart;
  };
  const writeTogether = async (indices: readonly number[]): Promise<void> => {
    const inference = await inferenceUnder(backend, base, requests[indices[0]].adapters);
    const generator = sharesBatches
      ? createBatchGenerator(backend, tokenizer, inference, { cache, rows })
      : createGenerator(backend, tokenizer, inference);
    try {
      await inParallel(indices, sharesBatches ? rows : 1, (index) => write(index, generator.text(requests[index].prompt, options)));
    } finally {
      await generator.close();
    }
  };

  const apart = sharesBatches ? await writeMixed() : [...requests.keys()];
  const groups = new Map<string, number[]>();
  for (const index of apart.toSorted((a, b) => a - b)) {
    const key = choiceKey(requests[index].adapters);
    groups.set(key, [...(groups.get(key) ?? []), index]);
  }
  for (const indices of groups.values()) await writeTogether(indices);
};
