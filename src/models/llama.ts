/** @file The Llama family: Llama 2 and 3, TinyLlama, SmolLM2 and what shares their architecture. */
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const llama: Family = (config, where) => {
  const decoder = readDecoder("llama", config, where, { maxPositions: 2048 });
  const rope = decoderRope(decoder, where);
  return decoderModel({
    ...decoder,
    rope: () => rope,
    gguf: {
      architecture: "llama",
      interleaved: true,
      activation: activations.silu,
      scalings: ["linear", "llama3", "yarn"],
      biases: ["qkv", "output", "mlp"],
    },
  });
};
