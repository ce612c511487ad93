/** @file A model so small that its gradients can be held against differences, what can be trained of it, and examples to train on. */
import type { Example } from "../data/index.ts";
import { constant, type Tensor } from "../graph/index.ts";
import { loraConfig, planAdapter, type LoraOptions, type StoredAdapter } from "../lora/index.ts";
import { modelOf, type Model } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { f32, random } from "../util/index.ts";
import { nextToken } from "./losses/next-token.ts";
import { freshParameters, trainableAdapter, trainableModel, type Find, type Trainable } from "./trainable.ts";

export const tinyConfig = {
  model_type: "llama",
  vocab_size: 19,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
  initializer_range: 0.4,
};

/** What a step is built from, and parameters to run it with. */
export interface TinySubject {
  readonly model: Model;
  readonly find: Find;
  readonly trainable: Trainable;
  readonly loss: typeof nextToken;
  readonly parameters: Float32Array;
}

/** All of the model is trained; its base is as the parameters start. */
export const wholeModel = (config: object = {}): TinySubject => {
  const model = modelOf({ ...tinyConfig, ...config }, "config.json");
  const trainable = trainableModel(model);
  const parameters = freshParameters(model, 7);
  const stored = parameters.slice();
  const frozen = new Map<string, Tensor>(
    trainable.layout.slots.map((slot) => [slot.name, constant(f32(viewOf(stored, slot), slot.shape))]),
  );
  return { model, find: (name) => frozen.get(name), trainable, loss: nextToken, parameters };
};

/** An adapter is trained whose B has moved away from zero, beside frozen weights. */
export const adaptedModel = (config: LoraOptions = {}): TinySubject => {
  const { model, find } = wholeModel();
  const adapter = planAdapter(model, loraConfig({ r: 2, lora_alpha: 4, ...config }));
  const generator = random(11);
  const draw = (length: number): Float32Array => Float32Array.from({ length }, () => 0.3 * generator.normal());
  const stored: StoredAdapter = { adapter, parameters: draw(adapter.layout.size), frozen: draw(adapter.frozen.size) };
  const { parameters } = stored;
  const trainable = trainableAdapter(model, stored);
  return { model, find, trainable, loss: nextToken, parameters };
};

/** Examples of given lengths, the first third of each a prompt. */
export const tinyExamples = (lengths: readonly number[], seed = 5): Example[] => {
  const generator = random(seed);
  return lengths.map((length, index) => ({
    ids: Int32Array.from({ length }, () => generator.integer(tinyConfig.vocab_size)),
    supervised: Uint8Array.from({ length }, (_, position) => Number(position > 0 && position >= length / 3)),
    where: `tiny.jsonl:${index + 1}`,
  }));
};
