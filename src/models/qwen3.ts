/** @file The Qwen 3 family: Llama with a norm on each head's queries and keys. */
import { configReader } from "../formats/index.ts";
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder, slidingLayers, slidingWindow, windowsOf } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const qwen3: Family = (config, where) => {
  const read = configReader(config, where);
  const decoder = readDecoder("qwen3", config, where, { headSize: 128, keyValueHeads: 32, maxPositions: 32_768 });
  const rope = decoderRope(decoder, where);
  const window = read.boolean("use_sliding_window", false) ? slidingWindow(config, where, 4096) : undefined;
  const from = read.integer("max_window_layers", 28);
  return decoderModel({
    ...decoder,
    queryKeyNorm: "head",
    rope: () => rope,
    window: windowsOf(
      window,
      slidingLayers(config, where, decoder.layers, (layer) => window !== undefined && layer >= from),
      where,
    ),
    gguf: { architecture: "qwen3", interleaved: false, activation: activations.silu, scalings: ["linear", "yarn"] },
  });
};
