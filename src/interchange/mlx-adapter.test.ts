import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { readMlxAdapter, tensorSources, writeMlxAdapter, writeSafetensors, type MlxAdapter } from "../formats/index.ts";
import { loadAdapter, saveAdapter, valuesOf, type LoraConfig, type StoredAdapter } from "../lora/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { readMlxFolder, writeMlxFolder } from "./mlx-adapter.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-mlx-"));
const directory = join(folder, "adapter");
let base: Base;
beforeAll(async () => {
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  base = await openBase(await tinyModel({ num_hidden_layers: 3, vocab_size: 97 }));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** factor·A·B (in, out). */
const product = (A: HostTensor, B: HostTensor, factor: number): Float32Array => {
  const [[rows, rank], [, columns]] = [A.shape, B.shape];
  const result = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += Number(A.data[row * rank + k]) * Number(B.data[k * columns + column]);
      result[row * columns + column] = factor * sum;
    }
  return result;
};

/** ΔW of a module as an adapter here has it. */
const update = (stored: StoredAdapter, module: string): Float32Array => {
  const [A, B] = ["lora_A", "lora_B"].map((name) => valuesOf(stored).get(`${module}.${name}`)!);
  return product(A, B, stored.adapter.targets.get(module)!.scaling);
};

const far = (a: Float32Array, b: Float32Array): number => a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at])), 0);

const configs: [string, Partial<LoraConfig>, Partial<MlxAdapter>][] = [
  ["plain", { target_modules: ["q_proj", "v_proj"] }, { layers: 3, rank: 4, scale: 2, keys: ["self_attn.q_proj", "self_attn.v_proj"] }],
  [
    "rank-stabilised",
    { r: 4, lora_alpha: 3, use_rslora: true, target_modules: ["up_proj"] },
    { rank: 4, scale: 1.5, keys: ["mlp.up_proj"] },
  ],
  [
    "ranks and α of its own for some modules",
    { rank_pattern: { q_proj: 6, "layers.1.mlp.up_proj": 2 }, alpha_pattern: { k_proj: 20 }, lora_dropout: 0.25 },
    { rank: 6, scale: 2, dropout: 0.25 },
  ],
  ["the last layers", { layers_to_transform: [1, 2], target_modules: ["k_proj"] }, { layers: 2, keys: ["self_attn.k_proj"] }],
];

describe("a folder of mlx-lm", () => {
  it.each(configs)("has the same ΔW: %s", async (_, config, expected) => {
    const stored = await randomAdapter(base, config);
    await writeMlxFolder(directory, base, stored);
    const written = await readMlxAdapter(directory);
    expect(written).toMatchObject(expected);
    expect(written.tensors.size).toBe(2 * stored.adapter.targets.size);
    for (const { module, inFeatures, outFeatures } of stored.adapter.targets.values()) {
      const [A, B] = ["lora_a", "lora_b"].map((name) => written.tensors.get(`${module}.${name}`)!);
      expect([A.shape, B.shape]).toEqual([
        [inFeatures, written.rank],
        [written.rank, outFeatures],
      ]);
      expect(far(product(A, B, written.scale), update(stored, module))).toBeLessThan(1e-6);
      expect(Math.max(...update(stored, module))).toBeGreaterThan(0.01);
    }
  });

  it.each(configs)("comes back as a PEFT folder with the same ΔW: %s", async (_, config) => {
    const stored = await randomAdapter(base, config);
    await writeMlxFolder(directory, base, stored);
    const imported = join(folder, "imported");
    await saveAdapter(imported, base.model, await readMlxFolder(directory, base), base.digest);
    const loaded = await loadAdapter(imported, base.model, { baseDigest: base.digest });
    expect([...loaded.adapter.targets.keys()]).toEqual([...stored.adapter.targets.keys()]);
    for (const module of stored.adapter.targets.keys()) expect(far(update(loaded, module), update(stored, module))).toBeLessThan(1e-6);
  });

  it("comes back value for value where all modules are alike", async () => {
    const stored = await randomAdapter(base, { lora_dropout: 0.5 });
    await writeMlxFolder(directory, base, stored);
    const read = await readMlxFolder(directory, base);
    expect(read.parameters).toEqual(stored.parameters);
    expect(read.adapter.config).toMatchObject({ r: 4, lora_alpha: 8, lora_dropout: 0.5 });
  });

  it("has DoRA's magnitudes, and comes back with them", async () => {
    const stored = await randomAdapter(base, { use_dora: true, target_modules: ["q_proj", "down_proj"], rank_pattern: { q_proj: 2 } });
    await writeMlxFolder(directory, base, stored);
    const { kind, tensors } = await readMlxAdapter(directory);
    expect(kind).toBe("dora");
    const magnitude = valuesOf(stored).get("model.layers.1.mlp.down_proj.lora_magnitude_vector")!;
    expect(tensors.get("model.layers.1.mlp.down_proj.m")).toEqual(magnitude);
    const read = await readMlxFolder(directory, base);
    expect(read.adapter.config.use_dora).toBe(true);
    expect(valuesOf(read).get("model.layers.1.mlp.down_proj.lora_magnitude_vector")).toEqual(magnitude);
    expect(far(update(read, "model.layers.0.self_attn.q_proj"), update(stored, "model.layers.0.self_attn.q_proj"))).toBeLessThan(1e-6);
  });

  it("has embeddings that are not the head, as (rows, r) and (r, width)", async () => {
    const untied = await openBase(await tinyModel({ vocab_size: 97, tie_word_embeddings: false }));
    const stored = await randomAdapter(untied, { target_modules: ["embed_tokens", "lm_head"] });
    await writeMlxFolder(directory, untied, stored);
    const { keys, layers, tensors } = await readMlxAdapter(directory);
    expect([keys, layers]).toEqual([["model.embed_tokens", "lm_head"], 0]);
    expect(tensors.get("model.embed_tokens.lora_a")?.shape).toEqual([97, 4]);
    expect((await readMlxFolder(directory, untied)).parameters).toEqual(stored.parameters);
  });

  it("calls GPT-2's modules as mlx-lm does", async () => {
    const config: Record<string, unknown> = { model_type: "gpt2", n_embd: 16, n_head: 2, n_layer: 2, n_positions: 32 };
    const gpt2 = await openBase(await tinyModel(config));
    const stored = await randomAdapter(gpt2, { layers_to_transform: [1] });
    await writeMlxFolder(directory, gpt2, stored);
    const { layers, keys, tensors } = await readMlxAdapter(directory);
    expect([layers, keys]).toEqual([1, ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]]);
    expect(tensors.get("model.h.1.attn.c_attn.lora_b")?.shape).toEqual([4, 48]);
    expect((await readMlxFolder(directory, gpt2)).parameters).toEqual(stored.parameters);
  });

  it.each<[string, Partial<LoraConfig>, string]>([
    ["tensors trained whole", { modules_to_save: ["norm"] }, "An adapter of mlx-lm holds low-rank factors alone; this adapter has"],
    ["a tied head", { target_modules: ["lm_head"] }, "mlx-lm has no place for an adapter on lm_head of this model."],
    ["a tied embedding", { target_modules: ["embed_tokens"] }, "mlx-lm has no place for an adapter on model.embed_tokens of this model."],
    ["magnitudes of an embedding", { use_dora: true, target_modules: ["embed_tokens"] }, "no place for an adapter on model.embed_tokens"],
    ["a bias on B", { lora_bias: true }, "this adapter has model.layers.0.self_attn.q_proj.lora_B.bias"],
  ])("is not written with %s", async (_, config, message) => {
    await expect(writeMlxFolder(join(folder, "no"), base, await randomAdapter(base, config))).rejects.toThrow(message);
  });
});

describe("an import is refused", () => {
  const good = async (): Promise<MlxAdapter> => {
    await writeMlxFolder(directory, base, await randomAdapter(base, { target_modules: ["q_proj"] }));
    return readMlxAdapter(directory);
  };
  const renamed = (adapter: MlxAdapter, from: RegExp, to: string): MlxAdapter => ({
    ...adapter,
    tensors: new Map([...adapter.tensors].map(([name, tensor]) => [name.replace(from, to), tensor])),
  });

  it.each<[string, (adapter: MlxAdapter) => MlxAdapter, string]>([
    [
      "with a layer too many",
      (adapter) => renamed(adapter, /layers\.2/, "layers.9"),
      'The model has no module "model.layers.9.self_attn.q_proj"',
    ],
    [
      "for the wrong module",
      (adapter) => renamed(adapter, /self_attn.q_proj/, "mlp.down_proj"),
      "is [16, 4] where the model needs [24, 4]",
    ],
    ["with half a pair", (adapter) => renamed(adapter, /layers\.2(.+)lora_b/, "layers.1$1lora_b"), "has no lora_b"],
    ["whose rank is another than it says", (adapter) => ({ ...adapter, rank: 8 }), "has rank 4 where the configuration says 8"],
    ["without tensors", (adapter) => ({ ...adapter, tensors: new Map() }), "The file holds no low-rank factors."],
  ])("%s", async (_, change, message) => {
    await writeMlxAdapter(directory, change(await good()));
    await expect(readMlxFolder(directory, base)).rejects.toThrow(message);
  });

  it.each<[string, string, string]>([
    ["full fine-tuning", '{"fine_tune_type": "full"}', '"fine_tune_type" is "full"; offered: lora, dora'],
    ["no parameters", '{"fine_tune_type": "lora"}', '"lora_parameters" is no object.'],
    ["no scale", '{"lora_parameters": {"rank": 4}}', '"scale" is missing.'],
  ])("with a configuration of %s", async (_, config, message) => {
    await good();
    writeFileSync(join(directory, "adapter_config.json"), config);
    await expect(readMlxFolder(directory, base)).rejects.toThrow(message);
  });

  it("with tensors that are no factors", async () => {
    await good();
    const tensors = new Map([["model.norm.weight", f32([1, 2])]]);
    await writeSafetensors(join(directory, "adapters.safetensors"), tensorSources(tensors));
    await expect(readMlxFolder(directory, base)).rejects.toThrow('tensor "model.norm.weight": An adapter of mlx-lm has no such tensor');
    expect(JSON.parse(readFileSync(join(directory, "adapter_config.json"), "utf8"))).toMatchObject({ fine_tune_type: "lora" });
  });
});
