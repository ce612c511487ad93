/** @file The Qwen 2 and 2.5 family: Llama with biases on queries, keys and values, and windows in the upper layers where they are asked for. */
import { configReader } from "../formats/index.ts";
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder, slidingLayers, slidingWindow, windowsOf } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const qwen2: Family = (config, where) => {
  const read = configReader(config, where);
  const decoder = readDecoder("qwen2", config, where, { keyValueHeads: 32, maxPositions: 32_768 });
  const rope = decoderRope(decoder, where);
  const window = read.boolean("use_sliding_window", false) ? slidingWindow(config, where, 4096) : undefined;
  const from = read.integer("max_window_layers", 28);
  return decoderModel({
    ...decoder,
    biases: { qkv: true, output: false, mlp: false },
    rope: () => rope,
    window: windowsOf(
      window,
      slidingLayers(config, where, decoder.layers, (layer) => window !== undefined && layer >= from),
      where,
    ),
    gguf: { architecture: "qwen2", interleaved: false, activation: activations.silu, scalings: ["linear", "yarn"], biases: ["qkv"] },
  });
};
