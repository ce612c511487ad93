/** @file Writes what a model says after a prompt, piece by piece, and measures it. It knows nothing about chats or terminals. */
import type { Tokenizer } from "../../formats/index.ts";
import { generateText, type Decoder, type FinishReason, type GenerateOptions } from "../../generate/index.ts";
import { LowrankError } from "../../util/index.ts";

export interface Completion {
  readonly text: string;
  readonly promptTokens: number;
  /** Tokens of the text, without one that ends it. */
  readonly tokens: number;
  readonly finishReason: FinishReason;
  /** True where the model had no more positions, rather than `maxTokens` being reached. */
  readonly isFull: boolean;
  /** Seconds in all, and up to the first token. */
  readonly seconds: number;
  readonly firstTokenSeconds: number;
  /** Speed after the first token; null for fewer than two tokens. */
  readonly tokensPerSecond: number | null;
}

export interface Speaker {
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  /** Tokens that the model takes, prompt and answer together. */
  readonly maxPositions: number;
}

/** Counts what is drawn: every append gives the logits for one draw. */
const counting = (decoder: Decoder) => {
  const times: number[] = [];
  const counted: Decoder = {
    get length() {
      return decoder.length;
    },
    continues: decoder.continues,
    append: async (ids) => {
      const logits = await decoder.append(ids);
      times.push(performance.now());
      return logits;
    },
    rewind: decoder.rewind,
    dispose: decoder.dispose,
  };
  return { counted, times };
};

/** Generates after `prompt`, handing every piece of text to `write`; a prompt that leaves no room is `invalid-argument`. */
export const complete = async (
  { decoder, tokenizer, maxPositions }: Speaker,
  prompt: readonly number[],
  { maxTokens = 128, ...options }: GenerateOptions,
  write: (piece: string) => void,
): Promise<Completion> => {
  const room = maxPositions - prompt.length;
  if (room < 1)
    throw new LowrankError(
      "invalid-argument",
      `The prompt has ${prompt.length} tokens, and the model takes ${maxPositions} with the answer.`,
      {
        fix: "Shorten the prompt.",
      },
    );
  const { counted, times } = counting(decoder);
  const started = performance.now();
  const pieces = generateText(counted, tokenizer, prompt, { ...options, maxTokens: Math.min(maxTokens, room) });
  let text = "";
  let next = await pieces.next();
  for (; next.done !== true; next = await pieces.next()) {
    text += next.value;
    write(next.value);
  }
  const finishReason = next.value;
  const unseen = finishReason === "end" || finishReason === "aborted" ? 1 : 0;
  const steps = times.length - 1;
  const ended = performance.now();
  return {
    text,
    promptTokens: prompt.length,
    tokens: Math.max(0, times.length - unseen), // nothing is drawn under a signal that was aborted before
    finishReason,
    isFull: finishReason === "length" && room < maxTokens,
    seconds: (ended - started) / 1000,
    firstTokenSeconds: ((times[0] ?? ended) - started) / 1000,
    tokensPerSecond: steps < 1 ? null : (1000 * steps) / (times[steps] - times[0]),
  };
};
