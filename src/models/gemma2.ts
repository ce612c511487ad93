/** @file The Gemma 2 family: Gemma with norms around both blocks, windows in every other layer, and soft caps on scores and logits. */
import { configReader } from "../formats/index.ts";
import {
  activationOf,
  cappedLogits,
  decoderRope,
  optional,
  readDecoder,
  requireValue,
  slidingLayers,
  windowsOf,
} from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const gemma2: Family = (config, where) => {
  requireValue(config, "use_bidirectional_attention", false, where);
  const read = configReader(config, where);
  const decoder = readDecoder("gemma2", config, where, { headSize: 256, keyValueHeads: 4, maxPositions: 8192, tied: true });
  const rope = decoderRope(decoder, where);
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
      read,
      slidingLayers(config, where, decoder.layers, (layer) => layer % 2 === 0),
      4096,
    ),
    scoreScale: read.number("query_pre_attn_scalar", 256) ** -0.5,
    scoreCap: optional(config, "attn_logit_softcapping", 50, where),
    finish: cappedLogits(optional(config, "final_logit_softcapping", 30, where)),
  });
};
