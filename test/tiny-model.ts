/** @file Models for tests: a few thousand random weights beside the embedded model's tokenizer, and random adapters for them. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { copyCompanions, tensorSources, writeCheckpoint } from "../src/formats/index.ts";
import { loraConfig, planAdapter, startAdapter, type LoraOptions, type StartSources, type StoredAdapter } from "../src/lora/index.ts";
import { modelOf, type Base } from "../src/models/index.ts";
import { viewOf } from "../src/nn/index.ts";
import { freshParameters, trainableModel } from "../src/train/index.ts";
import { random, type HostTensor } from "../src/util/index.ts";

const assets = resolve(import.meta.dirname, "../assets/tiny");

export const tinyConfig = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 1536,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  // Ten times the usual deviation: logits that differ clearly from token to token.
  initializer_range: 0.2,
  torch_dtype: "float32",
};

/** An encoder–decoder. */
export const tinyT5Config = {
  architectures: ["T5ForConditionalGeneration"],
  model_type: "t5",
  vocab_size: 1536,
  d_model: 16,
  d_kv: 4,
  d_ff: 24,
  num_layers: 2,
  num_decoder_layers: 2,
  num_heads: 4,
  relative_attention_num_buckets: 8,
  relative_attention_max_distance: 24,
  feed_forward_proj: "gated-gelu",
  scale_decoder_outputs: false,
  tie_word_embeddings: true,
  pad_token_id: 0,
  eos_token_id: 2,
  decoder_start_token_id: 0,
  torch_dtype: "float32",
};

/** Writes a model into a new folder and returns it; the seed decides the weights. */
export const tinyModel = (overrides: Partial<Record<keyof LlamaConfig, unknown>> = {}, seed = 1): Promise<string> =>
  writeModel({ ...tinyConfig, ...overrides }, seed);

/** Writes an encoder–decoder, likewise. */
export const tinyT5 = (overrides: Partial<Record<keyof typeof tinyT5Config, unknown>> = {}, seed = 1): Promise<string> =>
  writeModel({ ...tinyT5Config, ...overrides }, seed);

const writeModel = async (config: Readonly<Record<string, unknown>>, seed: number): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "lowrank-tiny-"));
  const model = modelOf(config, folder);
  const flat = freshParameters(model, seed);
  const { slots } = trainableModel(model).layout;
  const tensors = new Map(
    slots.map((slot): [string, HostTensor] => [slot.name, { dtype: "f32", shape: slot.shape, data: viewOf(flat, slot) }]),
  );
  // Biases start at zero, where they would show nothing.
  const generator = random(seed, 1);
  for (const [name, { data }] of tensors)
    if (name.endsWith(".bias")) for (let index = 0; index < data.length; index++) data[index] = generator.normal() * 0.1;
  await writeCheckpoint(folder, { config, tensors: tensorSources(tensors) });
  await copyCompanions(assets, folder);
  return folder;
};

type LlamaConfig = typeof tinyConfig & Record<"attention_bias" | "mlp_bias" | "num_local_experts" | "num_experts_per_tok", unknown>;

/** An adapter all of whose tensors have been moved from their start, as if it had been trained. */
export const randomAdapter = async (
  base: Base,
  config: LoraOptions = {},
  seed = 1,
  sources: Partial<StartSources> = {},
): Promise<StoredAdapter> => {
  const adapter = planAdapter(base.model, loraConfig({ r: 4, lora_alpha: 8, ...config }));
  const stored = await startAdapter(adapter, base, seed, sources);
  const generator = random(seed, 2);
  for (let index = 0; index < stored.parameters.length; index++) stored.parameters[index] += generator.normal() * 0.1;
  return stored;
};
