/** @file A model kept ready to generate: its programs and weights are prepared once for many texts. It knows nothing about where models and adapters come from. */
import type { Tokenizer } from "../formats/index.ts";
import type { Backend } from "../runtime/index.ts";
import { LowrankError } from "../util/index.ts";
import { createDecoder } from "./create-decoder.ts";
import { disposePrograms, type Decoder, type Programs } from "./decoder.ts";
import { defaultMaxTokens, generateText, type FinishReason, type GenerateOptions } from "./generate.ts";
import type { Inference } from "./inference.ts";
import { asPrompt } from "./prompt.ts";

export interface Generator {
  /** Starts a sequence that will hold about `expected` tokens. Any number may be under way at once. */
  decoder(expected: number): Promise<Decoder>;
  /** Text after a prompt (a text, or token ids that begin with BOS where the model wants one); it ends where the model has no more positions. */
  text(prompt: string | readonly number[], options?: GenerateOptions): AsyncGenerator<string, FinishReason>;
  /** Frees its programs, and the adapters or merged weights that stay with the backend. Sequences under way cannot go on. */
  close(): Promise<void>;
}

/** A generator that takes the inference over and disposes of it when it is closed. */
export const createGenerator = (backend: Backend, tokenizer: Tokenizer, inference: Inference): Generator => {
  const programs: Programs = new Map();
  const { maxPositions, type, head } = inference.model;
  if (head.predicts !== "tokens")
    throw new LowrankError("unsupported", `The head of this ${type} predicts ${head.predicts}, so it writes no text.`, {
      fix: "Classify with it (lowrank classify).",
    });
  const decoder = (expected: number): Promise<Decoder> => createDecoder(backend, inference, programs, expected);
  return {
    decoder,
    text: async function* (prompt, { maxTokens = defaultMaxTokens, ...options } = {}) {
      const ids = typeof prompt === "string" ? asPrompt(tokenizer.encode(prompt), inference.model, tokenizer) : prompt;
      const room = maxPositions - ids.length;
      if (room < 1)
        throw new LowrankError(
          "invalid-argument",
          `The prompt has ${ids.length} tokens, and the model takes ${maxPositions} with the answer.`,
          {
            fix: "Shorten the prompt.",
          },
        );
      const sequence = await decoder(Math.min(ids.length + maxTokens, maxPositions));
      try {
        return yield* generateText(sequence, tokenizer, ids, { ...options, maxTokens: Math.min(maxTokens, room) });
      } finally {
        await sequence.dispose();
      }
    },
    close: async () => {
      await disposePrograms(programs);
      await inference.dispose();
    },
  };
};
