import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { greedy } from "../../test/greedy.ts";
import { llamaCppGreedy, llamaCppLogits, llamaCppTokens, stopLlamaCpp } from "../../test/llama-cpp.ts";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { gguf, loadTokenizer, readGgufHeader, readGgufTensor, writeGguf, type GgufSource, type GgufValue } from "../formats/index.ts";
import { loadAdapter, loraConfig, planAdapter, saveAdapter, startAdapter, type LoraConfig, type StoredAdapter } from "../lora/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { readGgufAdapter, writeGgufAdapter } from "./gguf-adapter.ts";
import { writeGgufModel } from "./gguf-model.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-gguf-adapter-"));
const modelPath = join(folder, "model.gguf");
const adapterPath = join(folder, "adapter.gguf");
let backend: Backend;
beforeAll(() => {
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  backend = ortBackend({ threads: 1 });
});
afterAll(async () => {
  await stopLlamaCpp();
  await backend.dispose();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const small = { hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, max_position_embeddings: 256 };
const ids = Array.from({ length: 24 }, (_, index) => (index * 37 + 5) % 1500);

const patterns: Partial<LoraConfig> = {
  rank_pattern: { q_proj: 2, "layers.1.mlp.up_proj": 3 },
  alpha_pattern: { k_proj: 40, down_proj: 3, "layers.0.self_attn.q_proj": 1 },
};
const slotValues = ({ adapter, parameters }: StoredAdapter, name: string): Float32Array =>
  viewOf(
    parameters,
    adapter.layout.slots.find((slot) => slot.name === name)!,
  );

describe("llama.cpp, with base and adapter in files of their own, computes the same logits", () => {
  it.each<[string, Record<string, unknown>, Partial<LoraConfig>, "f32" | "f16", number]>([
    ["llama", {}, {}, "f32", 3e-5],
    ["llama in float16", {}, {}, "f16", 2e-2],
    ["llama with ranks and α of its own for some modules", {}, patterns, "f32", 3e-5],
    ["llama with rank-stabilised scaling", {}, { ...patterns, use_rslora: true }, "f32", 3e-5],
    ["llama with a head of its own", { tie_word_embeddings: false }, { target_modules: ["lm_head", "k_proj"] }, "f32", 3e-5],
    ["llama with an adapted embedding", { tie_word_embeddings: false }, { target_modules: ["embed_tokens", "v_proj"] }, "f32", 3e-5],
    ["mistral", { model_type: "mistral" }, {}, "f32", 3e-5],
    ["qwen2", { model_type: "qwen2" }, {}, "f32", 3e-5],
    ["smollm3", { model_type: "smollm3", num_hidden_layers: 4 }, {}, "f32", 3e-5],
    ["olmo2", { model_type: "olmo2" }, {}, "f32", 3e-5],
    ["granite", { model_type: "granite", attention_multiplier: 0.3 }, {}, "f32", 3e-5],
    ["phi3", { model_type: "phi3" }, {}, "f32", 3e-5],
    ["gemma2", { model_type: "gemma2", head_dim: 32, query_pre_attn_scalar: 32 }, {}, "f32", 1e-2],
    ["gpt2", { model_type: "gpt2", n_embd: 64, n_head: 4, n_layer: 2, n_positions: 256 }, {}, "f32", 1e-2],
  ])("of %s", async (_, config, lora, type, tolerance) => {
    const base = await openBase(await tinyModel({ ...small, ...config }));
    const stored = await randomAdapter(base, lora);
    await writeGgufModel(modelPath, { backend, base, adapters: [], precision: "f32" });
    await writeGgufAdapter(adapterPath, base, stored, type);
    const ours = await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]);
    const theirs = await llamaCppLogits(modelPath, ids, { adapter: adapterPath });
    expect(largestDifference(ours, theirs)).toBeLessThan(tolerance);
    expect(largestDifference(ours, await logitsAfter(backend, base, ids))).toBeGreaterThan(0.3);
  });
});

it("llama.cpp computes the same logits with an adapter whose start took its pair from the base", async () => {
  const base = await openBase(await tinyModel(small));
  const config = loraConfig({ ...patterns, r: 4, lora_alpha: 8, use_rslora: true, init_lora_weights: "olora" });
  const stored = await startAdapter(planAdapter(base.model, config), base, 1, { backend });
  stored.parameters.forEach((value, index) => (stored.parameters[index] = value * (1 + (index % 7) / 10)));
  await writeGgufModel(modelPath, { backend, base, adapters: [], precision: "f32" });
  await writeGgufAdapter(adapterPath, base, stored, "f32");
  const ours = await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]);
  expect(largestDifference(ours, await llamaCppLogits(modelPath, ids, { adapter: adapterPath }))).toBeLessThan(1e-3);
  expect(largestDifference(ours, await logitsAfter(backend, base, ids))).toBeGreaterThan(0.1);
});

describe("an adapter in a file", () => {
  let base: Base;
  beforeAll(async () => {
    base = await openBase(await tinyModel(small));
  });

  // α/r, with r as the file's B has it, times the file's B.
  const scalings: [string, Partial<LoraConfig>, number, (module: string) => number][] = [
    ["plain", { r: 4, lora_alpha: 8 }, 8, () => 1],
    ["rank-stabilised", { r: 4, lora_alpha: 8, use_rslora: true }, 16, () => 1],
    ["with patterns", { r: 4, lora_alpha: 8, ...patterns }, 8, (module) => (module.endsWith("down_proj") ? 3 / 8 : 1)],
    [
      "with both",
      { r: 4, lora_alpha: 8, use_rslora: true, rank_pattern: { v_proj: 16 } },
      16,
      (module) => (module.endsWith("v_proj") ? 2 : 1),
    ],
  ];
  it.each(scalings)("has one α, and what is left of each scaling in B: %s", async (_, config, alpha, factor) => {
    const stored = await randomAdapter(base, config);
    await writeGgufAdapter(adapterPath, base, stored, "f32");
    const { metadata, tensors } = await readGgufHeader(adapterPath);
    expect(Object.fromEntries(metadata)).toEqual({
      "general.architecture": gguf.string("llama"),
      "general.type": gguf.string("adapter"),
      "general.name": gguf.string("adapter"),
      "adapter.type": gguf.string("lora"),
      "adapter.lora.alpha": gguf.f32(alpha),
    });
    expect(tensors.size).toBe(2 * 14);
    for (const [name, module] of [
      ["blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj"],
      ["blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj"],
    ]) {
      const target = stored.adapter.targets.get(module)!;
      const [a, b] = ["a", "b"].map((part) => tensors.get(`${name}.lora_${part}`)!);
      expect([a.shape, b.shape]).toEqual([
        [target.rank, target.inFeatures],
        [target.outFeatures, target.rank],
      ]);
      const [A, B] = [await readGgufTensor(a), await readGgufTensor(b)];
      expect(A.data[1]).toBe(slotValues(stored, `${module}.lora_A`)[target.rank]); // (1, 0) here, (0, 1) there
      const own = slotValues(stored, `${module}.lora_B`)[target.outFeatures]; // (1, 0) here, (0, 1) there
      expect(B.data[1]).toBe(Math.fround(own * factor(module)));
    }
  });

  it.each<[string, Partial<LoraConfig>]>([
    ["plain", {}],
    ["patterns", patterns],
    ["rank-stabilised", { use_rslora: true, rank_pattern: { v_proj: 2 } }],
    ["some layers", { layers_to_transform: [1], target_modules: ["q_proj", "down_proj"] }],
  ])("comes back as a PEFT folder with the same effect: %s", async (_, config) => {
    const stored = await randomAdapter(base, config);
    await writeGgufAdapter(adapterPath, base, stored, "f32");
    const directory = join(folder, "imported");
    await saveAdapter(directory, base.model, await readGgufAdapter(adapterPath, base), base.digest);
    const loaded = await loadAdapter(directory, base.model, { baseDigest: base.digest });
    expect([...loaded.adapter.targets.keys()]).toEqual([...stored.adapter.targets.keys()]);
    const [ours, theirs] = await Promise.all([stored, loaded].map((one) => logitsAfter(backend, base, ids, [{ ...one, weight: 1 }])));
    expect(largestDifference(ours, theirs)).toBeLessThan(1e-5);
  });

  it("comes back value for value where its scaling is α/r", async () => {
    const stored = await randomAdapter(base, { lora_alpha: 8, rank_pattern: { q_proj: 2 } });
    await writeGgufAdapter(adapterPath, base, stored, "f32");
    const read = await readGgufAdapter(adapterPath, base);
    expect(read.parameters).toEqual(stored.parameters);
    expect(read.adapter.config).toMatchObject({ r: 4, lora_alpha: 8, alpha_pattern: {} });
    expect(read.adapter.targets.get("model.layers.0.self_attn.q_proj")).toEqual(
      stored.adapter.targets.get("model.layers.0.self_attn.q_proj"),
    );
  });

  it("comes back on an embedding too, where that is not the head", async () => {
    const untied = await openBase(await tinyModel({ ...small, tie_word_embeddings: false }));
    const stored = await randomAdapter(untied, { target_modules: ["embed_tokens", "lm_head"] });
    await writeGgufAdapter(adapterPath, untied, stored, "f32");
    const { tensors } = await readGgufHeader(adapterPath);
    expect([...tensors].map(([name, { shape }]) => [name, shape])).toEqual([
      ["token_embd.weight.lora_a", [1536, 4]],
      ["token_embd.weight.lora_b", [64, 4]],
      ["output.weight.lora_a", [4, 64]],
      ["output.weight.lora_b", [1536, 4]],
    ]);
    expect((await readGgufAdapter(adapterPath, untied)).parameters).toEqual(stored.parameters);
  });

  it("acts as it is where the file has no α", async () => {
    const stored = await randomAdapter(base, { lora_alpha: 8 });
    await writeGgufAdapter(adapterPath, base, stored, "f32");
    const { tensors, metadata } = await readGgufHeader(adapterPath);
    const path = join(folder, "bare.gguf");
    await copyGguf(path, tensors, new Map([...metadata].filter(([key]) => key !== "adapter.lora.alpha")));
    const { targets } = (await readGgufAdapter(path, base)).adapter;
    expect(new Set([...targets.values()].map(({ scaling }) => scaling))).toEqual(new Set([1]));
  });

  it.each<[string, Partial<LoraConfig>, string]>([
    ["tensors trained whole", { modules_to_save: ["norm"] }, "this adapter has model.layers.0.input_layernorm.weight"],
    ["magnitudes", { use_dora: true }, "this adapter has model.layers.0.self_attn.q_proj.lora_magnitude_vector"],
    ["biases on B", { lora_bias: true }, "this adapter has model.layers.0.self_attn.q_proj.lora_B.bias"],
    ["biases", { bias: "lora_only" }, "this adapter has model.layers.0.self_attn.q_proj.bias"],
    ["a tied head", { target_modules: ["lm_head"] }, "llama.cpp has no place for an adapter on lm_head of this model."],
    [
      "a tied embedding",
      { target_modules: ["embed_tokens"] },
      "llama.cpp has no place for an adapter on model.embed_tokens of this model.",
    ],
  ])("is refused with %s", async (_, config, message) => {
    const own = await openBase(await tinyModel({ ...small, attention_bias: true }));
    await expect(writeGgufAdapter(join(folder, "no.gguf"), own, await randomAdapter(own, config), "f32")).rejects.toThrow(message);
    await expect(readGgufHeader(join(folder, "no.gguf"))).rejects.toThrow("There is no such file");
  });
});

/** The tensors of a file in another one, renamed, and under other metadata. */
const copyGguf = async (
  path: string,
  tensors: Awaited<ReturnType<typeof readGgufHeader>>["tensors"],
  metadata: ReadonlyMap<string, GgufValue>,
  rename: (name: string) => string | undefined = (name) => name,
): Promise<void> => {
  const sources: GgufSource[] = [];
  for (const [name, tensor] of tensors) {
    const renamed = rename(name);
    const { data } = await readGgufTensor(tensor);
    if (renamed !== undefined)
      sources.push({ name: renamed, type: "f32", shape: tensor.shape, chunks: () => [new Uint8Array(data.buffer as ArrayBuffer)] });
  }
  await writeGguf(path, { metadata, tensors: sources });
};

describe("an import is refused", () => {
  let base: Base;
  const path = join(folder, "changed.gguf");
  beforeAll(async () => {
    base = await openBase(await tinyModel(small));
    await writeGgufAdapter(adapterPath, base, await randomAdapter(base), "f32");
  });

  const renaming = (from: string, to: string | undefined) => (name: string) => (name === from ? to : name);
  it.each<[string, Record<string, GgufValue>, (name: string) => string | undefined, string]>([
    ["a model", { "general.type": gguf.string("model") }, (name) => name, "This GGUF file holds a model, not an adapter."],
    ["another kind", { "adapter.type": gguf.string("dora") }, (name) => name, 'An adapter of the type "dora" is not read; "lora" is.'],
    [
      "another architecture",
      { "general.architecture": gguf.string("qwen2") },
      (name) => name,
      'for the architecture "qwen2", the model is "llama"',
    ],
    ["one that waits for tokens", { "adapter.alora.invocation_tokens": gguf.i32s([1]) }, (name) => name, "begins to act at certain tokens"],
    [
      "a norm",
      {},
      renaming("blk.0.attn_v.weight.lora_a", "blk.0.attn_norm.weight"),
      'tensor "blk.0.attn_norm.weight": A LoRA adapter has no such tensor',
    ],
    ["half a pair", {}, renaming("blk.0.attn_v.weight.lora_a", undefined), 'tensor "blk.0.attn_v.weight": It has no lora_a.'],
    [
      "a layer too many",
      {},
      (name) => name.replace("blk.1.", "blk.7."),
      'tensor "blk.7.attn_q.weight": The model has no module with these weights',
    ],
    [
      "the wrong module",
      {},
      (name) => name.replace("attn_k", "x").replace("attn_q", "attn_k").replace("x", "attn_q"),
      "lora_b [64, 4]; the model needs [4, 64] and [32, 4]",
    ],
  ])("%s", async (_, changes, rename, message) => {
    const { tensors, metadata } = await readGgufHeader(adapterPath);
    await copyGguf(path, tensors, new Map([...metadata, ...Object.entries(changes)]), rename);
    await expect(readGgufAdapter(path, base)).rejects.toThrow(message);
  });
});

describe.skipIf(!hasShared)("stories260k in llama.cpp", () => {
  const prompt = "Once upon a time";
  let base: Base;
  let stored: StoredAdapter;
  let promptIds: number[];
  beforeAll(async () => {
    const directory = sharedPath("models", "stories260k");
    base = await openBase(directory);
    stored = await randomAdapter(base, { ...patterns, r: 8, lora_alpha: 12, use_rslora: true }, 7);
    promptIds = (await loadTokenizer(directory)).encode(prompt);
    await writeGgufModel(modelPath, { backend, base, adapters: [], precision: "f32" });
  });

  it("reads a prompt as the same tokens", async () => {
    const texts = [prompt, "Lily's  cat, 3 dogs\nand é 🦙.", " leading", "", "trailing "];
    const tokenizer = await loadTokenizer(base.directory);
    expect(await llamaCppTokens(modelPath, texts)).toEqual(texts.map((text) => tokenizer.encode(text, { specialTokens: false })));
    expect(promptIds).toEqual([1, 403, 407, 261, 378]);
  });

  it("tells the same story alone, beside an adapter, and merged", async () => {
    const merged = join(folder, "merged.gguf");
    await writeGgufAdapter(adapterPath, base, stored, "f32");
    const adapters = [{ ...stored, weight: 1 }];
    await writeGgufModel(merged, { backend, base, adapters, precision: "f32" });
    const [plain, adapted] = [await greedy(backend, base, promptIds, 64), await greedy(backend, base, promptIds, 64, adapters)];
    expect(adapted).not.toEqual(plain);
    expect(new Set(adapted).size).toBeGreaterThan(10);
    expect(await llamaCppGreedy(modelPath, promptIds, 64)).toEqual(plain);
    expect(await llamaCppGreedy(modelPath, promptIds, 64, { adapter: adapterPath })).toEqual(adapted);
    expect(await llamaCppGreedy(merged, promptIds, 64)).toEqual(adapted);
  });
});
