/** @file The text part of the Gemma 3 family: Gemma 2 with norms on queries and keys instead of soft caps, and a rotary base for each kind of layer. */
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

type Config = Readonly<Record<string, unknown>>;

// Newer files nest settings by kind of layer; in older ones the scaling is that of the full layers and the sliding ones have a base alone.
const ropeConfigs = (config: Config): { full: Config; sliding: Config } => {
  const nested = config["rope_parameters"] as Config | null | undefined;
  if (nested !== null && nested !== undefined)
    return { full: { rope_parameters: nested["full_attention"] }, sliding: { rope_parameters: nested["sliding_attention"] } };
  const { rope_theta, rope_scaling, rope_local_base_freq } = config;
  return { full: { rope_theta, rope_scaling }, sliding: { rope_theta: rope_local_base_freq } };
};

export const gemma3: Family = (config, where) => {
  requireValue(config, "use_bidirectional_attention", false, where);
  const read = configReader(config, where);
  const decoder = readDecoder("gemma3_text", config, where, { headSize: 256, keyValueHeads: 4, maxPositions: 131_072, tied: true });
  const logitCap = optional(config, "final_logit_softcapping", null, where);
  const settings = ropeConfigs(config);
  const full = decoderRope({ ...decoder, config: settings.full }, where, { theta: 1_000_000 });
  const local = decoderRope({ ...decoder, config: settings.sliding }, where);
  const pattern = read.size("sliding_window_pattern", 6);
  const sliding = slidingLayers(config, where, decoder.layers, (layer) => (layer + 1) % pattern !== 0);
  return decoderModel({
    ...decoder,
    norms: {
      beforeAttention: "input_layernorm",
      afterAttention: "post_attention_layernorm",
      beforeMlp: "pre_feedforward_layernorm",
      afterMlp: "post_feedforward_layernorm",
    },
    queryKeyNorm: "head",
    activation: activationOf(read, "hidden_activation", "gelu_pytorch_tanh"),
    gainOffset: 1,
    embeddingScale: Math.sqrt(decoder.hiddenSize),
    isScaleBuffered: true,
    rope: (layer) => (sliding[layer] ? local : full),
    window: windowsOf(slidingWindow(config, where, 4096), sliding, where),
    scoreScale: read.number("query_pre_attn_scalar", 256) ** -0.5,
    finish: cappedLogits(logitCap),
    gguf: {
      architecture: "gemma3",
      interleaved: false,
      activation: activations.gelu_pytorch_tanh,
      scalings: ["linear", "yarn"],
      windowPeriod: pattern,
      // Known to llama.cpp by the number of layers.
      scoreScale: (decoder.layers === 62 ? decoder.hiddenSize / decoder.heads : decoder.headSize) ** -0.5,
      metadata: {
        "attention.sliding_window_pattern": gguf.u32(pattern),
        ...(logitCap !== undefined && { final_logit_softcapping: gguf.f32(logitCap) }),
      },
    },
  });
};
