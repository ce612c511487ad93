/** @file The text after a prompt, in a sequence of its own that is freed with it. It knows nothing about how sequences are run. */
import type { Tokenizer } from "../formats/index.ts";
import type { Model } from "../models/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Decoder } from "./decoder.ts";
import { defaultMaxTokens, generateText, type FinishReason, type GenerateOptions } from "./generate.ts";
import { asPrompt } from "./prompt.ts";

export interface Writer {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Tokens that a sequence has room for, prompt and text together. */
  readonly longest: number;
  /** Starts a sequence that will hold about `expected` tokens. */
  decoder(expected: number): Promise<Decoder>;
}

/** Refuses models that write no text. */
export const checkWrites = ({ type, head }: Model): void => {
  if (head.predicts !== "tokens")
    throw new LowrankError("unsupported", `The head of this ${type} predicts ${head.predicts}, so it writes no text.`, {
      fix: "Classify with it (lowrank classify).",
    });
};

/** Yields the text after a prompt, which ends where there is no more room. */
export async function* textAfter(
  { model, tokenizer, longest, decoder }: Writer,
  prompt: string | readonly number[],
  { maxTokens = defaultMaxTokens, ...options }: GenerateOptions = {},
): AsyncGenerator<string, FinishReason> {
  const ids = typeof prompt === "string" ? asPrompt(tokenizer.encode(prompt), model, tokenizer) : prompt;
  const room = longest - ids.length;
  if (room < 1)
    throw new LowrankError("invalid-argument", `The prompt has ${ids.length} tokens, and the model takes ${longest} with the answer.`, {
      fix: "Shorten the prompt.",
    });
  const sequence = await decoder(Math.min(ids.length + maxTokens, longest));
  try {
    return yield* generateText(sequence, tokenizer, ids, { ...options, maxTokens: Math.min(maxTokens, room) });
  } finally {
    await sequence.dispose();
  }
}
