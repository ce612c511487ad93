import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { llamaCppLogits, stopLlamaCpp } from "../../test/llama-cpp.ts";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { tinyModel } from "../../test/tiny-model.ts";
import { openBase } from "../models/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { writeGgufModel } from "./gguf-model.ts";

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
    ["gpt2", { model_type: "gpt2", n_embd: 64, n_head: 4, n_layer: 2, n_positions: 256 }, 1e-2],
  ])("of %s", async (_, config, tolerance) => {
    const base = await openBase(await tinyModel({ ...small, ...config }));
    const path = join(folder, "model.gguf");
    await writeGgufModel(path, { backend, base, adapters: [], precision: "f32" });
    const [ours, theirs] = [await logitsAfter(backend, base, ids), await llamaCppLogits(path, ids)];
    expect(Math.max(...ours)).toBeGreaterThan(1);
    expect(largestDifference(ours, theirs)).toBeLessThan(tolerance);
  });
});
