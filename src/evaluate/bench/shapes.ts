/** @file Configurations of well-known models, to measure speed without their weights. It knows nothing about measuring. */

/** A `config.json`, as the family reads it. */
type Config = Readonly<Record<string, unknown>>;

const smolLm2: Config = {
  model_type: "llama",
  vocab_size: 49152,
  max_position_embeddings: 8192,
  rope_theta: 100_000,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};

/** Shapes by the name that `--shape` takes. */
export const benchShapes = {
  "smollm2-135m": {
    ...smolLm2,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
  },
  "smollm2-360m": {
    ...smolLm2,
    hidden_size: 960,
    intermediate_size: 2560,
    num_hidden_layers: 32,
    num_attention_heads: 15,
    num_key_value_heads: 5,
  },
  "qwen3-0.6b": {
    model_type: "qwen3",
    vocab_size: 151_936,
    max_position_embeddings: 40_960,
    rope_theta: 1_000_000,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
  },
  "llama-3.2-1b": {
    model_type: "llama",
    vocab_size: 128_256,
    max_position_embeddings: 131_072,
    rope_theta: 500_000,
    rope_scaling: {
      rope_type: "llama3",
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    head_dim: 64,
  },
} as const satisfies Readonly<Record<string, Config>>;

export type BenchShape = keyof typeof benchShapes;
