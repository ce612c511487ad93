import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readTensorF32 } from "../../formats/index.ts";
import { modelOf, openBase } from "../../models/index.ts";
import { sizeOf } from "../../util/index.ts";
import { benchGeneration, benchShapes, benchTraining, randomCheckpoint, type AdapterUse, type BenchShape } from "./index.ts";
import { median, peakMemory } from "./machine.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-bench-"));
beforeAll(() => void vi.stubEnv("LOWRANK_CACHE", folder));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const tiny = {
  model_type: "llama",
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 50,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};

describe("shapes", () => {
  const linears = (D: number, F: number, kv: number): number => 2 * D * D + 2 * D * kv + 3 * D * F;
  it.each<[BenchShape, number]>([
    ["smollm2-135m", 49152 * 576 + 30 * (linears(576, 1536, 192) + 2 * 576) + 576],
    ["smollm2-360m", 49152 * 960 + 32 * (linears(960, 2560, 320) + 2 * 960) + 960],
    ["llama-3.2-1b", 128256 * 2048 + 16 * (linears(2048, 8192, 512) + 2 * 2048) + 2048],
  ])("%s has the parameters of its model", (shape, count) => {
    const { parameters } = modelOf(benchShapes[shape], shape);
    expect(parameters.reduce((sum, parameter) => sum + sizeOf(parameter.shape), 0)).toBe(count);
  });
});

describe("a checkpoint with random weights", () => {
  it("has the deviation of the configuration, ones as gains, and other values for another seed", async () => {
    const base = await openBase(await randomCheckpoint("tiny", { ...tiny, initializer_range: 0.5 }, 1));
    const valuesOf = async (name: string): Promise<Float32Array> => (await readTensorF32(base.weights.get(name)!)).data as Float32Array;
    const embedding = await valuesOf("model.embed_tokens.weight");
    const variance = embedding.reduce((sum, value) => sum + value * value, 0) / embedding.length;
    expect(Math.abs(Math.sqrt(variance) - 0.5)).toBeLessThan(0.02);
    expect(new Set(await valuesOf("model.norm.weight"))).toEqual(new Set([1]));
    const other = await openBase(await randomCheckpoint("tiny", { ...tiny, initializer_range: 0.5 }, 2));
    expect(other.digest).not.toBe(base.digest);
  });

  it("is written once, again where it is damaged, and with the same bytes", async () => {
    const path = join(await randomCheckpoint("again", tiny, 0), "model.safetensors");
    const { mtimeMs, size } = statSync(path);
    const { digest } = await openBase(await randomCheckpoint("again", tiny, 0));
    expect(statSync(path).mtimeMs).toBe(mtimeMs);
    truncateSync(path, size - 4);
    expect((await openBase(await randomCheckpoint("again", tiny, 0))).digest).toBe(digest);
    expect(statSync(path).size).toBe(size);
    const wider = await openBase(await randomCheckpoint("again", { ...tiny, intermediate_size: 32 }, 0));
    expect(wider.weights.get("model.layers.0.mlp.up_proj.weight")!.shape).toEqual([32, 16]);
    expect(existsSync(join(folder, "random", "again.0"))).toBe(true);
    expect(readdirSync(join(folder, "random", "again.0")).toSorted()).toEqual(["config.json", "model.safetensors"]);
  });
});

it("measures training: figures that belong together, and the loss of guessing", async () => {
  const base = await openBase(await randomCheckpoint("tiny", tiny, 0));
  const options = { batchSize: 2, sequenceLength: 8, rank: 3, steps: 3, seed: 5 };
  const bench = await benchTraining(base, options, { threads: 1 });
  expect(bench.stepMilliseconds).toHaveLength(3);
  expect(bench.millisecondsPerStep).toBe(median(bench.stepMilliseconds));
  expect(bench.tokensPerSecond * bench.millisecondsPerStep).toBeCloseTo(16_000, 6);
  // r·(in + out) for q, o (16 → 16), k, v (16 → 8), gate, up, down (16 ↔ 24), in two layers
  expect(bench.trainable).toBe(2 * 3 * (2 * 32 + 2 * 24 + 3 * 40));
  expect(Math.abs(bench.loss - Math.log(50))).toBeLessThan(0.1);
  expect(bench.firstStepSeconds).toBeGreaterThan(bench.sessionSeconds);
  expect(bench.threads).toBe(1);
  expect((await benchTraining(base, options, { threads: 1 })).loss).toBe(bench.loss);
});

it.each<AdapterUse>(["none", "beside", "merged"])("measures generation with the adapter %s", async (adapter) => {
  const base = await openBase(await randomCheckpoint("tiny", tiny, 0));
  const bench = await benchGeneration(base, { past: 20, tokens: 3, adapter, rank: 2, seed: 0 }, { threads: 1 });
  expect(bench.decodeTokensPerSecond * bench.millisecondsPerToken).toBeCloseTo(1000, 6);
  expect(bench.prefillTokensPerSecond).toBeGreaterThan(0);
  expect(bench.firstTokenSeconds).toBeGreaterThan(0);
});

it.each<AdapterUse>(["none", "beside", "merged"])("measures generation of several texts with the adapter %s", async (adapter) => {
  const base = await openBase(await randomCheckpoint("tiny", tiny, 0));
  const bench = await benchGeneration(base, { batchSize: 3, past: 20, tokens: 3, adapter, rank: 2, seed: 0 }, { threads: 1 });
  expect(bench.decodeTokensPerSecond * bench.millisecondsPerToken).toBeCloseTo(3000, 6);
  expect(bench.prefillTokensPerSecond).toBeGreaterThan(0);
  expect(bench.firstTokenSeconds).toBeGreaterThan(0);
});

it("takes the middle of values", () => {
  expect([median([3]), median([5, 1, 3]), median([4, 1, 3, 2])]).toEqual([3, 3, 2.5]);
});

it("reports at least the memory that is held now", () => {
  const before = peakMemory();
  const block = new Uint8Array(64 * 2 ** 20).fill(1);
  expect(peakMemory()).toBeGreaterThanOrEqual(Math.max(before, block.length));
  expect(peakMemory()).toBeGreaterThan(0.9 * process.memoryUsage.rss());
});
