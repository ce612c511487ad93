/** @file Rank-8 adapters of a model with the shapes of stories260k, made quickly, and what people would say of them. It knows nothing about the library's folder. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sortedJson, tensorSources, writeSafetensors } from "../src/formats/index.ts";
import type { AddOptions } from "../src/library/index.ts";
import { f32, random, type HostTensor } from "../src/util/index.ts";

const rank = 8;
const layers = 5;
/** Inputs and outputs of the linear layers of stories260k. */
const linears = {
  "self_attn.q_proj": [64, 64],
  "self_attn.k_proj": [64, 32],
  "self_attn.v_proj": [64, 32],
  "self_attn.o_proj": [64, 64],
  "mlp.gate_proj": [64, 172],
  "mlp.up_proj": [64, 172],
  "mlp.down_proj": [172, 64],
} as const;

export const baseDigest = `sha256:${"5".repeat(64)}`;

// Every adapter takes its values from another place of one long row of them: different bytes without drawing each.
const pool = (() => {
  const draw = random(260_000);
  return Float32Array.from({ length: 300_007 }, () => 0.05 * draw.normal());
})();

/** Writes the adapter with this number into a folder. */
export const writeNumbered = async (folder: string, number: number): Promise<void> => {
  let at = (number * 7919) % 200_003;
  const take = (rows: number, columns: number): HostTensor => {
    at = (at + rows * columns) % 200_003;
    return f32(pool.slice(at, at + rows * columns), [rows, columns]);
  };
  const tensors = new Map<string, HostTensor>();
  for (let layer = 0; layer < layers; layer++)
    for (const [module, [inputs, outputs]] of Object.entries(linears)) {
      const name = `base_model.model.model.layers.${layer}.${module}`;
      tensors.set(`${name}.lora_A.weight`, take(rank, inputs));
      tensors.set(`${name}.lora_B.weight`, take(outputs, rank));
    }
  mkdirSync(folder, { recursive: true });
  await writeSafetensors(join(folder, "adapter_model.safetensors"), tensorSources(tensors), { format: "pt", "lowrank.base": baseDigest });
  const modules = Object.keys(linears).map((name) => name.slice(name.indexOf(".") + 1));
  const config = {
    base_model_name_or_path: "models/stories260k",
    lora_alpha: 2 * rank,
    peft_type: "LORA",
    r: rank,
    target_modules: modules,
  };
  writeFileSync(join(folder, "adapter_config.json"), sortedJson({ ...config, lora_dropout: 0, task_type: "CAUSAL_LM" }));
};

const languages = ["en", "fr", "de", "es", "it", "pl", "sv", "pt", "nl", "da", "fi", "cs"];
const subjects = ["cooking", "weather", "law", "medicine", "sports", "travel", "finance", "music", "garden", "chess"];
const tasks = ["summary", "translation", "classification", "dialogue", "extraction", "rewriting", "story"];

/** Name, tags, metrics and notes of the adapter with this number: about four versions a name. */
export const saidOf = (number: number): AddOptions => {
  const draw = random(number, 1);
  const of = <Item>(items: readonly Item[]): Item => items[draw.integer(items.length)];
  const [language, subject, task] = [of(languages), of(subjects), of(tasks)];
  return {
    name: `team-${draw.integer(25)}/${subject}-${task}-${draw.integer(2)}`,
    tags: [
      `language=${language}`,
      `domain=${subject}`,
      `task=${task}`,
      `data=set-${draw.integer(500)}`,
      ...(draw.uniform() < 0.1 ? ["reviewed"] : []),
    ],
    metrics: { loss: 0.5 + draw.uniform(), accuracy: draw.uniform() },
    lineage: { run: `runs/${number}`, data: `${1000 + number} examples` },
    licence: "apache-2.0",
    notes: `Number ${number}: ${task} about ${subject} in ${language}, ${draw.uniform() < 0.5 ? "first labelling" : "second labelling"}.`,
  };
};
