/** @file The Mistral family: Llama with one sliding window in every layer, and no biases. */
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder, requireValue, slidingWindow } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const mistral: Family = (config, where) => {
  requireValue(config, "layer_types", null, where);
  const decoder = readDecoder("mistral", config, where, { keyValueHeads: 8, maxPositions: 131_072 });
  const rope = decoderRope(decoder, where);
  const window = slidingWindow(config, where, 4096);
  return decoderModel({
    ...decoder,
    biases: { qkv: false, output: false, mlp: false },
    rope: () => rope,
    window: () => window ?? Infinity,
    gguf: { architecture: "llama", interleaved: true, activation: activations.silu, scalings: ["linear", "llama3", "yarn"] },
  });
};
