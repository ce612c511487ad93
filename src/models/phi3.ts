/** @file The Phi 3 and 4 family: Llama with fused projections, long rotary scaling, and in later releases partly turned heads. */
import { activations } from "../nn/index.ts";
import { decoderRope, readDecoder, slidingWindow } from "./decoder-config.ts";
import { decoderModel } from "./decoder.ts";
import type { Family } from "./model.ts";

type Config = Readonly<Record<string, unknown>>;

// Early files call the long scaling by other names.
const renamed = (settings: unknown): unknown => {
  if (typeof settings !== "object" || settings === null) return settings;
  const { rope_type, type = rope_type, ...rest } = settings as Config;
  return { ...rest, type: type === "su" || type === "yarn" ? "longrope" : type };
};

export const phi3: Family = (config, where) => {
  const decoder = readDecoder("phi3", config, where, { epsilon: 1e-5, maxPositions: 4096 });
  const settings = {
    original_max_position_embeddings: 4096,
    ...config,
    rope_parameters: renamed(config["rope_parameters"]),
    rope_scaling: renamed(config["rope_scaling"]),
  };
  const rope = decoderRope({ ...decoder, config: settings }, where, { partial: true });
  const window = slidingWindow(config, where, null) ?? Infinity;
  return decoderModel({
    ...decoder,
    biases: { qkv: false, output: false, mlp: false },
    fused: true,
    rope: () => rope,
    window: () => window,
    gguf: { architecture: "phi3", interleaved: false, activation: activations.silu, scalings: ["linear", "longrope"] },
  });
};
