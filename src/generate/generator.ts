/** @file A model kept ready to generate: its programs and weights are prepared once for many texts. It knows nothing about where models and adapters come from. */
import type { Tokenizer } from "../formats/index.ts";
import { disposePrograms, type Backend, type Programs } from "../runtime/index.ts";
import { createDecoder } from "./create-decoder.ts";
import type { Decoder } from "./decoder.ts";
import type { FinishReason, GenerateOptions } from "./generate.ts";
import type { Inference } from "./inference.ts";
import { checkSpeculates, speculativeDecoder } from "./speculative-decoder.ts";
import { checkWrites, textAfter } from "./text-after.ts";

export interface Generator {
  /** Starts a sequence that will hold about `expected` tokens. Any number may be under way at once. */
  decoder(expected: number): Promise<Decoder>;
  /** Text after a prompt (a text, or token ids that begin with BOS where the model wants one); it ends where the model has no more positions. */
  text(prompt: string | readonly number[], options?: GenerateOptions): AsyncGenerator<string, FinishReason>;
  /** Frees its programs, and the adapters or merged weights that stay with the backend. Sequences under way cannot go on. */
  close(): Promise<void>;
}

export interface GeneratorOptions {
  /** Tokens that each run guesses ahead from what came before: the same texts, sooner where they repeat themselves. Default 0, none. */
  readonly speculate?: number;
}

/** A generator that takes the inference over and disposes of it when it is closed. */
export const createGenerator = (
  backend: Backend,
  tokenizer: Tokenizer,
  inference: Inference,
  { speculate = 0 }: GeneratorOptions = {},
): Generator => {
  const programs: Programs = new Map();
  const { model } = inference;
  checkWrites(model);
  checkSpeculates(speculate, model);
  const decoder = async (expected: number): Promise<Decoder> => {
    const made = await createDecoder(backend, inference, programs, Math.min(expected + speculate, model.maxPositions));
    return speculate === 0 ? made : speculativeDecoder(made, { count: speculate, longest: model.maxPositions });
  };
  const writer = { model, tokenizer, longest: model.maxPositions, decoder };
  return {
    decoder,
    text: (prompt, options) => textAfter(writer, prompt, options),
    close: async () => {
      await disposePrograms(programs);
      await inference.dispose();
    },
  };
};
