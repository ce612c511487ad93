/** @file The Gemma family: GeGLU, scaled embeddings, and gains stored as their distance from one. */
import { configReader } from "../formats/index.ts";
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder, requireValue } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const gemma: Family = (config, where) => {
  requireValue(config, "use_bidirectional_attention", false, where);
  const read = configReader(config, where);
  // The first release says "gelu" and means the approximation.
  read.oneOf("hidden_act", ["gelu", "gelu_pytorch_tanh"], "gelu_pytorch_tanh");
  const decoder = readDecoder("gemma", config, where, { headSize: 256, keyValueHeads: 16, maxPositions: 8192, tied: true });
  const rope = decoderRope(decoder, where);
  return decoderModel({
    ...decoder,
    activation: activations.gelu_pytorch_tanh,
    gainOffset: 1,
    embeddingScale: Math.sqrt(decoder.hiddenSize),
    isScaleBuffered: true,
    rope: () => rope,
    gguf: {
      architecture: "gemma",
      interleaved: false,
      activation: activations.gelu_pytorch_tanh,
      scalings: ["linear", "yarn"],
      readsHead: false,
    },
  });
};
