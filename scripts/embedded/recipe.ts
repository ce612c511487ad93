/** @file The figures that decide the embedded model: seeds, sizes, shape and hyperparameters. The build script reads them, tests check against them. */
import { vocabularySize } from "./tokenizer.ts";

/** What the embedded model is made by. Characters are of the corpus; held-out text has another seed than training text. */
export const recipe = {
  seed: 20,
  validSeed: 21,
  tokenizerCharacters: 2_000_000,
  trainCharacters: 16_000_000,
  validCharacters: 200_000,
  /** `config.json`. */
  shape: {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: vocabularySize,
    hidden_size: 128,
    intermediate_size: 256,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 32,
    hidden_act: "silu",
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    initializer_range: 0.02,
    pad_token_id: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: "float32",
  },
  /** Flags of `lowrank pretrain`. */
  pretrain: {
    "max-steps": 1500,
    "batch-size": 16,
    "seq-length": 256,
    "learning-rate": 4e-3,
    schedule: "cosine",
    "warmup-steps": 60,
    "weight-decay": 0.1,
    "max-grad-norm": 1,
    "eval-every": 200,
    seed: 20,
  },
  /** Flags of `lowrank train`, the same for every domain. */
  train: {
    rank: 4,
    alpha: 8,
    targets: "all-linear",
    epochs: 10,
    "batch-size": 8,
    "seq-length": 256,
    "learning-rate": 5e-3,
    schedule: "linear",
    "warmup-steps": 10,
    seed: 20,
  },
} as const;
