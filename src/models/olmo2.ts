/** @file The OLMo 2 family: norms after attention and feed-forward instead of before, and one on all queries and all keys of a token. */
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const olmo2: Family = (config, where) => {
  const decoder = readDecoder("olmo2", config, where, { epsilon: 1e-5, maxPositions: 2048 });
  const rope = decoderRope(decoder, where);
  return decoderModel({
    ...decoder,
    norms: { afterAttention: "post_attention_layernorm", afterMlp: "post_feedforward_layernorm" },
    queryKeyNorm: "projection",
    rope: () => rope,
    gguf: {
      architecture: "olmo2",
      interleaved: false,
      activation: activations.silu,
      scalings: ["linear", "yarn"],
      repeatsTiedHead: true,
    },
  });
};
