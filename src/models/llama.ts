/** @file The Llama family: Llama 2 and 3, TinyLlama, SmolLM2 and what shares their architecture. */
import { decoderRope, readDecoder } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const llama: Family = (config, where) => {
  const decoder = readDecoder("llama", config, where, { maxPositions: 2048 });
  const rope = decoderRope(decoder, where);
  return decoderModel({ ...decoder, rope: () => rope });
};
