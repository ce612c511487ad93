import { readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { materialise, planEpoch, type Batch, type Example } from "../data/index.ts";
import { loadTokenizer } from "../formats/index.ts";
import { adaptedInference, baseInference, createDecoder, mergedInference, type Programs } from "../generate/index.ts";
import { logProbability } from "../generate/sampling.ts";
import { openBase, type Base } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { nextToken } from "../train/index.ts";
import { random } from "../util/index.ts";
import { evaluateLoss } from "./loss.ts";

let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

/** An example of which every token but the first is a label, or those that `isLabel` names. */
const exampleOf = (ids: readonly number[], isLabel = (index: number): boolean => index > 0): Example => ({
  ids: Int32Array.from(ids),
  supervised: Uint8Array.from(ids, (_, index) => Number(isLabel(index))),
  where: "test",
});

const batchesOf = (examples: readonly Example[], batchSize: number, maxLength: number, pack = false): Batch[] =>
  planEpoch({ examples, batchSize, maxLength, pack, order: "sequential", seed: 0, epoch: 0 }).map(materialise);

describe("loss", () => {
  const length = 24;
  let base: Base;
  let examples: Example[];
  beforeAll(async () => {
    base = await openBase(await tinyModel({ vocab_size: 97 }));
    const generator = random(11);
    const ids = (count: number): number[] => Array.from({ length: count }, () => generator.integer(97));
    examples = [3, 24, 9, 17, 2, 12].map((count, row) => exampleOf(ids(count), (index) => index > row % 3));
  });

  it("is the mean of −log p over the labels, as a decoder gives it token by token", async () => {
    const programs: Programs = new Map();
    let sum = 0;
    let tokens = 0;
    for (const { ids, supervised } of examples) {
      const decoder = await createDecoder(backend, baseInference(base), programs, length);
      for (let index = 0; index + 1 < ids.length; index++) {
        const logits = await decoder.append([ids[index]]);
        if (supervised[index + 1] === 0) continue;
        sum -= logProbability(logits, ids[index + 1]);
        tokens++;
      }
      await decoder.dispose();
    }
    for (const executable of programs.values()) await (await executable).dispose();
    const report = await evaluateLoss(backend, { base, loss: nextToken, batches: batchesOf(examples, 2, length) });
    expect(report.weight).toBe(tokens);
    expect(report.loss).toBeCloseTo(sum / tokens, 5);
    expect(report.metrics["perplexity"]).toBeCloseTo(Math.exp(report.loss), 9);
    expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  });

  it.each([
    ["alone", 1, false],
    ["in batches with an incomplete last one", 4, false],
    ["all at once", 6, false],
    ["packed into rows", 2, true],
  ])("is the same for examples %s", async (_, batchSize, pack) => {
    const expected = await evaluateLoss(backend, { base, loss: nextToken, batches: batchesOf(examples, 2, length) });
    const batches = batchesOf(examples, batchSize, length, pack);
    const done: number[] = [];
    const report = await evaluateLoss(backend, { base, loss: nextToken, batches, onBatch: (count) => done.push(count) });
    expect(report.weight).toBe(expected.weight);
    expect(report.loss).toBeCloseTo(expected.loss, 5);
    expect(done).toEqual(batches.map((_, index) => index + 1));
  });

  it("is another one with an adapter, and the same beside the base and folded in", async () => {
    const adapters = [{ ...(await randomAdapter(base)), weight: 1 }];
    const batches = batchesOf(examples, 3, length);
    const [plain, beside, folded] = [
      baseInference(base),
      await adaptedInference(backend, base, adapters),
      await mergedInference(backend, base, adapters),
    ];
    const losses: number[] = [];
    for (const inference of [plain, beside, folded]) {
      losses.push((await evaluateLoss(backend, { base, inference, loss: nextToken, batches })).loss);
      await inference.dispose();
    }
    expect(Math.abs(losses[1] - losses[0])).toBeGreaterThan(0.01);
    expect(losses[2]).toBeCloseTo(losses[1], 4);
  });

  it("needs a label", async () => {
    const error = await evaluateLoss(backend, {
      base,
      loss: nextToken,
      batches: batchesOf([exampleOf([1, 2, 3], () => false)], 1, length),
    }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "invalid-data",
      message: expect.stringContaining("There is nothing to measure the loss on.") as string,
    });
    expect(backend.held().programs).toBe(0);
  });
});

describe.skipIf(!hasShared)("a pretrained model", () => {
  it("has the known loss on the stories that it was made for", async () => {
    const directory = sharedPath("models/stories260k");
    const recorded = JSON.parse(readFileSync(join(directory, "nll.json"), "utf8")) as Record<string, number>;
    const texts = JSON.parse(readFileSync(sharedPath("data/tinystories/tinystories_1000.json"), "utf8")) as string[];
    const tokenizer = await loadTokenizer(directory);
    const longest = recorded["max_tokens_per_text"];
    const examples = texts.slice(0, recorded["texts"]).map((text) => exampleOf(tokenizer.encode(text.trim()).slice(0, longest)));
    expect(examples.every(({ ids }) => ids[0] === tokenizer.bosId)).toBe(true);
    const report = await evaluateLoss(backend, {
      base: await openBase(directory),
      loss: nextToken,
      batches: batchesOf(examples, 8, longest),
    });
    expect(report.weight).toBe(recorded["tokens"]);
    expect(Math.abs(report.loss - recorded["mean_nll"])).toBeLessThan(5e-4);
  });
});
