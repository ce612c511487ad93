/** @file Routing on the embedded model: its adapters suit the texts that they were trained on; prototypes and embeddings against their definitions. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { loadExamples, planBatches } from "../../data/index.ts";
import { loadTokenizer, type Tokenizer } from "../../formats/index.ts";
import { leadingDirection, loadAdapter, type StoredAdapter } from "../../lora/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { nextToken } from "../../train/index.ts";
import { embeddingScores, meanEmbedding } from "./embedding.ts";
import { routeAdapters } from "./route.ts";

const assets = resolve(import.meta.dirname, "../../../assets");
const names = ["pirate", "weather"];
const backend = ortBackend({ threads: 1 });
let folder: string;
let base: Base;
let tokenizer: Tokenizer;
let adapters: StoredAdapter[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-route-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  base = await openBase(join(assets, "tiny"));
  tokenizer = await loadTokenizer(join(assets, "tiny"));
  adapters = [];
  for (const name of names) adapters.push(await loadAdapter(join(assets, "adapters", name), base.model, { baseDigest: base.digest }));
});
afterAll(async () => {
  await backend.dispose();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

const batchesOf = async (name: string, part: string) => {
  const { kind } = nextToken;
  const { examples } = await loadExamples(kind, { path: join(assets, "data", name, part), tokenizer, maxLength: 128 });
  const plans = planBatches(kind, {
    examples: examples.slice(0, 12),
    batchSize: 4,
    maxLength: 128,
    order: "sequential",
    seed: 0,
    epoch: 0,
  });
  return plans.map((plan) => kind.collate(plan));
};

describe("routing", () => {
  it.each(names)("finds the adapter for %s by loss and by the data that it was trained on", async (name) => {
    const embeddings = await Promise.all(names.map(async (each) => meanEmbedding(backend, base, await batchesOf(each, "train.jsonl"))));
    const suits = await routeAdapters(backend, { base, adapters, batches: await batchesOf(name, "valid.jsonl"), embeddings });
    const [right, wrong] = name === "pirate" ? suits : suits.toReversed();
    expect(right.gain).toBeGreaterThan(0.1);
    expect(right.loss).toBeLessThan(wrong.loss!);
    expect(right.data).toBeGreaterThan(0.5);
    expect(wrong.data).toBeLessThan(0);
    for (const { arrow } of suits) {
      expect(arrow).toBeGreaterThan(0);
      expect(arrow).toBeLessThan(1);
    }
  });

  it("takes for a prototype the direction that an update stretches most", () => {
    // ΔW (in, out) = 3·e₁·b₁ᵀ + 0.5·e₃·b₂ᵀ
    const direction = leadingDirection({
      a: [Float64Array.of(0, 3, 0, 0), Float64Array.of(0, 0, 0, 0.5)],
      b: [Float64Array.of(0.6, 0.8), Float64Array.of(0.8, -0.6)],
    });
    direction.forEach((value, index) => expect(Math.abs(value)).toBeCloseTo(Number(index === 1), 10));
  });

  it("compares embeddings without what all data have in common", () => {
    const [a, b] = [
      [10, 1, 0],
      [10, 0, 1],
    ];
    const [first, second] = embeddingScores([10, 0.9, 0], [a, b]);
    expect(first).toBeGreaterThan(0.9);
    expect(second).toBeLessThan(-0.9);
    expect(embeddingScores([1, 2], [[1, 2]])).toEqual([0]);
  });
});
