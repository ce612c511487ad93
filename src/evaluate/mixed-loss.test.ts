import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { planBatches, type Example, type LabelledExample, type Pair } from "../data/index.ts";
import { adapterCache, adaptedInference, type AdapterUse } from "../generate/index.ts";
import type { LoraConfig, StoredAdapter } from "../lora/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { classification, dpo, nextToken, type Loss, type TrainingBatch } from "../train/index.ts";
import { random } from "../util/index.ts";
import { evaluateLoss } from "./loss.ts";
import { evaluateMixed } from "./mixed-loss.ts";

let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

/** The last three do not share batches: two by their kind, one because heads read chosen positions of any row. */
const configs: Readonly<Record<string, Partial<LoraConfig>>> = {
  plain: { r: 4, lora_alpha: 8 },
  wide: { r: 16, lora_alpha: 16, target_modules: ["q_proj", "down_proj"] },
  dora: { r: 2, use_dora: true },
  whole: { r: 2, modules_to_save: ["model.norm"] },
  head: { r: 2, target_modules: ["lm_head", "q_proj"] },
};
const choices: readonly (readonly [string, number][])[] = [
  [["plain", 1]],
  [["wide", 0.5]],
  [],
  [["dora", 1]],
  [
    ["plain", 1],
    ["wide", -1],
  ],
  [["whole", 1]],
  [["head", 1]],
];

const [batchSize, maxLength, vocabulary] = [4, 24, 97];
const draw = random(5);
const ids = (count: number): Int32Array => Int32Array.from({ length: count }, () => draw.integer(vocabulary));
const lengths = [3, 24, 9, 17, 5, 12, 20, 24, 7, 11, 2, 18, 9, 4, 22];
const example = (count: number, row: number): Example => ({
  ids: ids(count),
  supervised: Uint8Array.from({ length: count }, (_, index) => Number(index > row % 2)),
  where: `row ${row}`,
});
const texts = lengths.map((count, row) => example(count + 1, row));
const pairs = lengths.map((count, row): Pair => ({ chosen: example(count + 1, row), rejected: example(count, row + 1) }));
const documents = lengths.map((count, row): LabelledExample => ({
  ids: ids(count),
  types: new Int32Array(count),
  label: row % 3,
  where: `row ${row}`,
}));

describe("a loss over rows with adapters of their own", () => {
  const measured = async <One, B extends TrainingBatch>(
    base: Base,
    loss: Loss<One, B>,
    examples: readonly One[],
    names: readonly string[],
  ): Promise<void> => {
    const { kind } = loss;
    const made = names.map(async (name, index) => [name, await randomAdapter(base, configs[name], index, { backend })] as const);
    const stored: Readonly<Record<string, StoredAdapter>> = Object.fromEntries(await Promise.all(made));
    const possible = choices.filter((choice) => choice.every(([name]) => names.includes(name)));
    const usesOf = (choice: (typeof choices)[number]): AdapterUse[] =>
      choice.map(([name, weight]) => ({ source: { digest: name, load: () => Promise.resolve(stored[name]) }, weight }));

    let [sum, weight] = [0, 0];
    for (const [index, choice] of possible.entries()) {
      const own = examples.filter((_, row) => row % possible.length === index);
      const inference = await adaptedInference(
        backend,
        base,
        choice.map(([name, strength]) => ({ ...stored[name], weight: strength })),
      );
      const plans = planBatches(kind, { examples: own, batchSize, maxLength: 25, order: "sequential", seed: 0, epoch: 0 });
      const report = await evaluateLoss(backend, {
        base,
        inference,
        loss,
        batches: plans.map((plan) => kind.collate(plan)),
      });
      [sum, weight] = [sum + report.loss * report.weight, weight + report.weight];
      await inference.dispose();
    }
    const before = backend.held();
    const cache = adapterCache(backend, 2 ** 22);
    const rows = examples.map((one, row) => ({ example: one, adapters: usesOf(possible[row % possible.length]) }));
    const report = await evaluateMixed(backend, { base, loss, examples: rows, cache, batchSize, maxLength: maxLength + 1 });
    await cache.dispose();
    expect(backend.held()).toEqual(before);
    expect(report.weight).toBe(weight);
    expect(Math.abs(report.loss - sum / weight)).toBeLessThan(1e-5 * Math.abs(sum / weight));
  };

  it("is that of one choice of adapters after the other, for next tokens", async () => {
    await measured(await openBase(await tinyModel({ vocab_size: vocabulary })), nextToken, texts, Object.keys(configs));
  });

  it("is so for classes", async () => {
    const base = await openBase(await tinyModel({ vocab_size: vocabulary }), {
      classifier: { predicts: "classes", labels: ["a", "b", "c"] },
    });
    await measured(base, classification(base.model), documents, ["plain", "wide", "dora"]);
  });

  it("is so for pairs, whose rows never share a batch", async () => {
    await measured(await openBase(await tinyModel({ vocab_size: vocabulary })), dpo({ beta: 0.1 }), pairs, ["plain", "wide", "dora"]);
  });

  it("shares batches: fewer runs than one choice after the other takes", async () => {
    const base = await openBase(await tinyModel({ vocab_size: vocabulary }));
    const adapters = await Promise.all([0, 1, 2, 3].map((seed) => randomAdapter(base, configs["plain"], seed)));
    const cache = adapterCache(backend, 2 ** 22);
    const same = Array.from({ length: 8 }, (_, row) => example(20, row));
    const before = backend.runs();
    const rows = same.map((one, row) => ({
      example: one,
      adapters: [{ source: { digest: String(row % 4), load: () => Promise.resolve(adapters[row % 4]) }, weight: 1 }],
    }));
    await evaluateMixed(backend, { base, loss: nextToken, examples: rows, cache, batchSize, maxLength });
    expect(backend.runs() - before).toBe(2);
    await cache.dispose();
  });
});
