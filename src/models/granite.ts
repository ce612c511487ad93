/** @file The Granite family: Llama with factors on embeddings, scores, residual branches and logits. */
import { configReader } from "../formats/index.ts";
import { scale } from "../graph/index.ts";
import { decoderRope, readDecoder } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const granite: Family = (config, where) => {
  const read = configReader(config, where);
  const decoder = readDecoder("granite", config, where, { maxPositions: 2048 });
  const rope = decoderRope(decoder, where);
  const divisor = read.number("logits_scaling", 1);
  return decoderModel({
    ...decoder,
    rope: () => rope,
    scoreScale: read.number("attention_multiplier", 1),
    embeddingScale: read.number("embedding_multiplier", 1),
    residualScale: read.number("residual_multiplier", 1),
    finish: divisor === 1 ? undefined : (logits) => scale(logits, 1 / divisor),
  });
};
