/** @file Generates: tokens from a decoder, and text from a prompt. It knows nothing about models, adapters or chats. */
import { streamDecoder, type Tokenizer } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Decoder } from "./decoder.ts";
import { sampler, type SamplingOptions } from "./sampling.ts";
import { stopMatcher } from "./stop.ts";

export const defaultMaxTokens = 128;

export interface GenerateOptions extends SamplingOptions {
  /** Tokens at most; default 128. */
  readonly maxTokens?: number;
  /** Texts that end the generation and are not part of it. */
  readonly stop?: readonly string[];
  readonly signal?: AbortSignal;
}

/** Why a generation ended: a token that ends texts, a stop string, the number of tokens, or the signal. */
export type FinishReason = "end" | "stop" | "length" | "aborted";

/** Yields tokens after the prompt until one of `endIds` (which is not yielded), `maxTokens`, or the signal. */
export async function* generateTokens(
  decoder: Decoder,
  prompt: readonly number[],
  endIds: readonly number[],
  { maxTokens = defaultMaxTokens, signal, ...sampling }: GenerateOptions,
): AsyncGenerator<number, FinishReason> {
  if (!(maxTokens >= 0))
    throw new LowrankError("invalid-argument", `The value ${maxTokens} is not allowed.`, {
      where: "maxTokens",
      fix: "Give a number from 0 up.",
    });
  const choose = sampler(sampling);
  const isAborted = (): boolean => signal?.aborted === true;
  if (isAborted()) return "aborted";
  const history = decoder.continues ? [...prompt] : [];
  let logits = await decoder.append(prompt);
  for (let count = 0; count < maxTokens; count++) {
    if (isAborted()) return "aborted";
    const id = choose.next(logits, history);
    if (endIds.includes(id)) return "end";
    yield id;
    history.push(id);
    if (count + 1 < maxTokens) logits = await decoder.append([id]);
  }
  return "length";
}

/** Yields the text after the prompt piece by piece; no piece holds a part of a stop string or of a character. */
export async function* generateText(
  decoder: Decoder,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<string, FinishReason> {
  if (prompt.length === 0)
    throw new LowrankError("invalid-argument", "The prompt has no tokens.", {
      fix: "Give some text, or use a tokenizer with a BOS token.",
    });
  const decode = streamDecoder(tokenizer);
  const matcher = stopMatcher(options.stop ?? []);
  const tokens = generateTokens(decoder, prompt, tokenizer.eosIds, options);
  // What a tokenizer strips from the beginning of a text belongs to the prompt, so the prompt goes through the decoder first.
  if (decoder.continues) for (const id of prompt) decode.push(id);
  while (true) {
    const { done, value } = await tokens.next();
    const { text, stopped } = matcher.push(done ? decode.flush() : decode.push(value));
    if (text !== "") yield text;
    if (stopped !== undefined) return "stop";
    if (done) {
      const rest = matcher.flush().text;
      if (rest !== "") yield rest;
      return value;
    }
  }
}
