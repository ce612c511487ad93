import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { llamaCppLogits, stopLlamaCpp } from "../../test/llama-cpp.ts";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { gguf, readGgufHeader } from "../formats/index.ts";
import { writeMergedCheckpoint, type LoraConfig } from "../lora/index.ts";
import { openBase } from "../models/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { writeGgufModel, type GgufPrecision } from "./gguf-model.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-gguf-model-"));
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

const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 64 };
const gemma = { head_dim: 32, sliding_window: 8, query_pre_attn_scalar: 32 };
const factors = (from: number): number[] => Array.from({ length: 8 }, (_, pair) => from + pair / 4);
const longrope = { type: "longrope", short_factor: factors(1), long_factor: factors(2) };

const smallGpt2: Record<string, unknown> = { model_type: "gpt2", n_embd: 64, n_head: 4, n_layer: 2, n_positions: 256 };

describe("llama.cpp computes the same logits", () => {
  // GELU comes from a table of float16 there.
  it.each<[string, Record<string, unknown>, number]>([
    ["llama", {}, 2e-5],
    ["llama with biases and a head of its own", { attention_bias: true, mlp_bias: true, tie_word_embeddings: false }, 2e-5],
    ["llama with llama3 scaling", { head_dim: 32, rope_scaling: llama3 }, 2e-5],
    ["llama with linear scaling", { rope_scaling: { rope_type: "linear", factor: 4 } }, 2e-5],
    ["mistral", { model_type: "mistral", sliding_window: null }, 2e-5],
    ["qwen2 with YaRN", { model_type: "qwen2", rope_scaling: yarn }, 2e-5],
    ["qwen3", { model_type: "qwen3", head_dim: 32 }, 2e-5],
    ["smollm3", { model_type: "smollm3", num_hidden_layers: 5 }, 2e-5],
    ["olmo2", { model_type: "olmo2" }, 2e-5],
    [
      "granite",
      { model_type: "granite", attention_multiplier: 0.3, embedding_multiplier: 2, residual_multiplier: 0.5, logits_scaling: 1.5 },
      2e-5,
    ],
    [
      "phi3 with LongRoPE",
      {
        model_type: "phi3",
        sliding_window: null,
        original_max_position_embeddings: 256,
        rope_scaling: longrope,
        max_position_embeddings: 512,
      },
      2e-5,
    ],
    ["phi3 with a share of the dimensions turned", { model_type: "phi3", sliding_window: null, partial_rotary_factor: 0.5 }, 2e-5],
    ["gemma", { model_type: "gemma", head_dim: 32 }, 1e-2],
    ["gemma2", { ...gemma, model_type: "gemma2" }, 1e-2],
    ["gemma3", { ...gemma, model_type: "gemma3_text", num_hidden_layers: 4, sliding_window_pattern: 3, rope_local_base_freq: 500 }, 1e-2],
    ["gpt2", smallGpt2, 1e-2],
  ])("of %s", async (_, config, tolerance) => {
    const base = await openBase(await tinyModel({ ...small, ...config }));
    const path = join(folder, "model.gguf");
    await writeGgufModel(path, { backend, base, adapters: [], precision: "f32" });
    const [ours, theirs] = [await logitsAfter(backend, base, ids), await llamaCppLogits(path, ids)];
    expect(Math.max(...ours)).toBeGreaterThan(1);
    expect(largestDifference(ours, theirs)).toBeLessThan(tolerance);
  });
});

/** What writing such a model says; the file is removed. */
const written = async (config: Record<string, unknown>): Promise<readonly string[]> => {
  const path = join(folder, "other.gguf");
  const base = await openBase(await tinyModel({ ...small, ...config }));
  const notes = await writeGgufModel(path, { backend, base, adapters: [], precision: "f32" });
  rmSync(path);
  return notes;
};

describe("the precision of matrices", () => {
  // llama.cpp rounds what it multiplies as well: to float16 and bfloat16, and to 8 bits with a step for each 32.
  it.each<[GgufPrecision, number, number]>([
    ["f16", 1, 0.02],
    ["bf16", 32, 0.2],
    ["q8_0", 7, 0.5],
  ])("%s", async (precision, fileType, tolerance) => {
    const gpt2 = join(folder, `gpt2.${precision}.gguf`);
    const other = await openBase(await tinyModel(smallGpt2));
    await writeGgufModel(gpt2, { backend, base: other, adapters: [], precision });
    expect(largestDifference(await logitsAfter(backend, other, ids), await llamaCppLogits(gpt2, ids))).toBeLessThan(2 * tolerance);

    const base = await openBase(await tinyModel({ ...small, intermediate_size: 80 }));
    const path = join(folder, `${precision}.gguf`);
    await writeGgufModel(path, { backend, base, adapters: [], precision });
    const { metadata, tensors } = await readGgufHeader(path);
    expect(metadata.get("general.file_type")).toEqual(gguf.u32(fileType));
    expect(tensors.get("blk.0.attn_q.weight")?.type).toBe(precision);
    expect(tensors.get("blk.0.attn_norm.weight")?.type).toBe("f32");
    // Rows of 80 hold no whole blocks.
    expect(tensors.get("blk.0.ffn_down.weight")?.type).toBe(precision === "q8_0" ? "f16" : precision);
    const [ours, theirs] = [await logitsAfter(backend, base, ids), await llamaCppLogits(path, ids)];
    expect(largestDifference(ours, theirs)).toBeLessThan(tolerance);
  });

  it("is each tensor's own by default", async () => {
    const [f32, bf16] = [await openBase(await tinyModel(small)), join(folder, "bf16")];
    await writeMergedCheckpoint(backend, f32, [], bf16, { dtype: "bf16" });
    const path = join(folder, "source.gguf");
    await writeGgufModel(path, { backend, base: await openBase(bf16), adapters: [], precision: "source" });
    const { tensors } = await readGgufHeader(path);
    expect(tensors.get("token_embd.weight")?.type).toBe("bf16");
  });
});

describe("a merged model", () => {
  it.each<[string, Partial<LoraConfig>]>([
    ["with every linear module changed", {}],
    ["with a tied head changed", { target_modules: ["lm_head"] }],
    ["with norms trained whole", { target_modules: ["q_proj"], modules_to_save: ["norm"] }],
  ])("%s has the logits of base and adapter", async (_, config) => {
    const base = await openBase(await tinyModel(small));
    const adapters = [{ ...(await randomAdapter(base, config)), weight: 0.5 }];
    const path = join(folder, "merged.gguf");
    await writeGgufModel(path, { backend, base, adapters, precision: "f32" });
    const [ours, theirs] = [await logitsAfter(backend, base, ids, adapters), await llamaCppLogits(path, ids)];
    expect(largestDifference(ours, theirs)).toBeLessThan(3e-5);
    expect(largestDifference(ours, await logitsAfter(backend, base, ids))).toBeGreaterThan(0.1);
  });
});

describe("what llama.cpp computes otherwise", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["another activation", { hidden_act: "gelu" }, "llama.cpp computes llama models with another activation than this model has."],
    ["biases", { model_type: "qwen3", attention_bias: true }, "llama.cpp computes qwen3 models without biases on qkv."],
    [
      "rotary embedding in other layers",
      { model_type: "smollm3", no_rope_layers: [0, 1] },
      "with rotary embedding in other layers than this model: layer 0 differs",
    ],
    [
      "scores",
      { ...gemma, model_type: "gemma2", query_pre_attn_scalar: 64 },
      "with scores times 0.17677669529663687, this model has 0.125",
    ],
    ["no soft caps", { ...gemma, model_type: "gemma2", final_logit_softcapping: null }, "with soft caps on scores and logits"],
    ["a scaling that no architecture has", { rope_scaling: { rope_type: "dynamic", factor: 2 } }, 'no rotary scaling "dynamic"'],
    ["a scaling that this one has not", { model_type: "qwen2", rope_scaling: llama3 }, 'no rotary scaling "llama3" for this architecture'],
    [
      "a temperature",
      { rope_scaling: { ...yarn, attention_factor: 2 } },
      "GGUF has YaRN with whole bounds and its usual temperature alone.",
    ],
    [
      "a head beside the embedding",
      { model_type: "gemma", head_dim: 32, tie_word_embeddings: false },
      'GGUF has no place for the tensor "lm_head.weight".',
    ],
    [
      "scores by layer",
      { model_type: "gpt2", n_embd: 64, n_head: 4, scale_attn_by_inverse_layer_idx: true },
      '"scale_attn_by_inverse_layer_idx" is true; offered: false',
    ],
  ])("%s is refused", async (_, config, message) => {
    await expect(written(config)).rejects.toThrow(message);
    expect(readdirSync(folder)).not.toContain("other.gguf");
  });

  it.each<[string, Record<string, unknown>, string]>([
    ["windows", { model_type: "mistral", sliding_window: 100 }, "the file's context ends where they begin, at 100 tokens."],
    [
      "windows of other layers",
      { ...gemma, model_type: "gemma3_text", layer_types: ["full_attention", "sliding_attention"] },
      "at 8 tokens.",
    ],
    [
      "factors for long texts",
      { model_type: "phi3", sliding_window: null, original_max_position_embeddings: 64, rope_scaling: longrope },
      "wherever its context is longer than 64 tokens",
    ],
  ])("%s is said", async (_, config, note) => {
    expect((await written(config)).join(" ")).toContain(note);
  });

  it("is refused for a family that is not offered, and for a classifier", async () => {
    const base = await openBase(await tinyModel(small));
    const { gguf: _layout, ...model } = base.model;
    const options = { backend, adapters: [], precision: "f32" } as const;
    await expect(writeGgufModel(join(folder, "x.gguf"), { ...options, base: { ...base, model } })).rejects.toThrow(
      'GGUF is not offered for the model family "llama".',
    );
    await expect(written({ architectures: ["LlamaForSequenceClassification"] })).rejects.toThrow(
      "GGUF files are written of language models alone",
    );
  });
});
