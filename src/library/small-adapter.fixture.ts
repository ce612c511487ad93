/** @file Small adapters in PEFT's layout for tests of the library: no model is needed to write them. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sortedJson, tensorSources, writeSafetensors } from "../formats/index.ts";
import { f32, random } from "../util/index.ts";

/** The digest of a base that does not exist. */
export const someBase = `sha256:${"b".repeat(64)}`;

export interface AdapterOptions {
  /** Digest of the base in the weights' metadata; null for none. Default: `someBase`. */
  readonly base?: string | null;
  /** Entries of the configuration in place of the usual ones. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Scale of B; 0 for an adapter without effect. */
  readonly scale?: number;
  /** Width of the module. Default 8. */
  readonly width?: number;
}

/** Writes an adapter of rank 2 for one module; the seed decides its values. */
export const writeAdapter = async (
  folder: string,
  seed: number,
  { base = someBase, config = {}, scale = 1, width = 8 }: AdapterOptions = {},
): Promise<string> => {
  const draw = random(seed);
  const values = (count: number, factor: number): Float32Array => Float32Array.from({ length: count }, () => factor * draw.normal());
  const tensors = new Map([
    ["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", f32(values(2 * width, 1), [2, width])],
    ["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", f32(values(2 * width, scale), [width, 2])],
  ]);
  mkdirSync(folder, { recursive: true });
  await writeSafetensors(join(folder, "adapter_model.safetensors"), tensorSources(tensors), {
    format: "pt",
    ...(base !== null && { "lowrank.base": base }),
  });
  const plain = { base_model_name_or_path: "org/base", lora_alpha: 4, peft_type: "LORA", r: 2, target_modules: ["q_proj"] };
  writeFileSync(join(folder, "adapter_config.json"), sortedJson({ ...plain, ...config }));
  return folder;
};
