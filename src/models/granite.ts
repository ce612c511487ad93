/** @file The Granite family: Llama with factors on embeddings, scores, residual branches and logits. */
import { configReader, gguf } from "../formats/index.ts";
import { scale } from "../graph/index.ts";
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const granite: Family = (config, where) => {
  const read = configReader(config, where);
  const decoder = readDecoder("granite", config, where, { maxPositions: 2048 });
  const rope = decoderRope(decoder, where);
  const divisor = read.number("logits_scaling", 1);
  const [scoreScale, embeddingScale, residualScale] = ["attention_multiplier", "embedding_multiplier", "residual_multiplier"].map((key) =>
    read.number(key, 1),
  );
  return decoderModel({
    ...decoder,
    rope: () => rope,
    scoreScale,
    embeddingScale,
    residualScale,
    finish: divisor === 1 ? undefined : (logits) => scale(logits, 1 / divisor),
    gguf: {
      architecture: "granite",
      interleaved: true,
      activation: activations.silu,
      scalings: ["linear", "llama3", "yarn"],
      biases: ["qkv", "output", "mlp"],
      scoreScale,
      metadata: {
        "attention.scale": gguf.f32(scoreScale),
        embedding_scale: gguf.f32(embeddingScale),
        residual_scale: gguf.f32(residualScale),
        logit_scale: gguf.f32(divisor),
      },
    },
  });
};
