/** @file The SmolLM3 family: Llama with every few layers without rotary embedding. */
import { configReader } from "../formats/index.ts";
import { activations } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import { decoderRope, readDecoder, slidingLayers, slidingWindow, windowsOf } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

export const smollm3: Family = (config, where) => {
  const read = configReader(config, where);
  const decoder = readDecoder("smollm3", config, where, { keyValueHeads: 4, maxPositions: 32_768, tied: true });
  const rope = decoderRope(decoder, where, { theta: 2_000_000 });
  const interval = read.size("no_rope_layer_interval", 4);
  const inLayers = Array.from({ length: decoder.layers }, (_, layer) => Number((layer + 1) % interval !== 0));
  const turned = read.integers("no_rope_layers", inLayers);
  if (turned.length < decoder.layers)
    throw new LowrankError("invalid-config", `"no_rope_layers" has ${turned.length} entries for ${decoder.layers} layers.`, { where });
  const window = read.boolean("use_sliding_window", false) ? slidingWindow(config, where, null) : undefined;
  return decoderModel({
    ...decoder,
    rope: (layer) => (turned[layer] === 0 ? undefined : rope),
    window: windowsOf(
      window,
      slidingLayers(config, where, decoder.layers, (layer) => window !== undefined && turned[layer] === 0),
      where,
    ),
    gguf: { architecture: "smollm3", interleaved: true, activation: activations.silu, scalings: ["linear", "yarn"], ropePeriod: 4 },
  });
};
