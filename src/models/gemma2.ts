/** @file The Gemma 2 family: Gemma with norms around both blocks, windows in every other layer, and soft caps on scores and logits. */
import { configReader, gguf } from "../formats/index.ts";
import { activations } from "../nn/index.ts";
import {
  activationOf,
  cappedLogits,
  decoderRope,
  optional,
  readDecoder,
  requireValue,
  slidingLayers,
  slidingWindow,
  windowsOf,
} from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const gemma2: Family = (config, where) => {
  requireValue(config, "use_bidirectional_attention", false, where);
  const read = configReader(config, where);
  const decoder = readDecoder("gemma2", config, where, { headSize: 256, keyValueHeads: 4, maxPositions: 8192, tied: true });
  const rope = decoderRope(decoder, where);
  const scoreCap = optional(config, "attn_logit_softcapping", 50, where);
  const logitCap = optional(config, "final_logit_softcapping", 30, where);
  return decoderModel({
    ...decoder,
    norms: {
      beforeAttention: "input_layernorm",
      afterAttention: "post_attention_layernorm",
      beforeMlp: "pre_feedforward_layernorm",
      afterMlp: "post_feedforward_layernorm",
    },
    activation: activationOf(read, "hidden_activation", "gelu_pytorch_tanh"),
    gainOffset: 1,
    embeddingScale: Math.sqrt(decoder.hiddenSize),
    isScaleBuffered: true,
    rope: () => rope,
    window: windowsOf(
      slidingWindow(config, where, 4096),
      slidingLayers(config, where, decoder.layers, (layer) => layer % 2 === 0),
      where,
    ),
    scoreScale: read.number("query_pre_attn_scalar", 256) ** -0.5,
    scoreCap,
    finish: cappedLogits(logitCap),
    gguf: {
      architecture: "gemma2",
      interleaved: false,
      activation: activations.gelu_pytorch_tanh,
      scalings: ["linear", "yarn"],
      windowPeriod: 2,
      // Known to llama.cpp by the number of layers.
      scoreScale: (decoder.layers === 46 ? decoder.hiddenSize / decoder.heads : decoder.headSize) ** -0.5,
      readsHead: false,
      ...(scoreCap === undefined || logitCap === undefined
        ? { obstacle: "with soft caps on scores and logits" }
        : { metadata: { attn_logit_softcapping: gguf.f32(scoreCap), final_logit_softcapping: gguf.f32(logitCap) } }),
    },
  });
};
