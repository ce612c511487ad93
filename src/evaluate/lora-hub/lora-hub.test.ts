/** @file LoraHub's loss against the loss of adapters at work, its gradient against differences, and what the strategies find. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { randomAdapter, tinyModel } from "../../../test/tiny-model.ts";
import { materialise, planEpoch, type Batch } from "../../data/index.ts";
import { adaptedInference } from "../../generate/index.ts";
import { composeAdapters, type StoredAdapter } from "../../lora/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { nextToken } from "../../train/index.ts";
import { random } from "../../util/index.ts";
import { evaluateLoss } from "../loss.ts";
import { chooseWeights, hubCompose, openHub } from "./lora-hub.ts";
import { strategies, type StrategyName } from "./strategies.ts";

const backend = ortBackend({ threads: 1 });
let folder: string;
let base: Base;
let adapters: StoredAdapter[];
let batches: Batch[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-hub-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  base = await openBase(await tinyModel({ vocab_size: 97 }));
  const configs = [{ r: 4 }, { r: 4, lora_alpha: 4 }, { r: 4, target_modules: ["q_proj", "up_proj"] }];
  adapters = await Promise.all(configs.map((config, index) => randomAdapter(base, config, index + 1)));
  const generator = random(4);
  const examples = Array.from({ length: 5 }, (_, index) => ({
    ids: Int32Array.from({ length: 9 + index }, () => generator.integer(97)),
    supervised: Uint8Array.from({ length: 9 + index }, (_unused, position) => Number(position > 3)),
    where: `row ${index}`,
  }));
  batches = planEpoch({ examples, batchSize: 5, maxLength: 16, order: "sequential", seed: 0, epoch: 0 }).map(materialise);
});
afterAll(async () => {
  await backend.dispose();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
  await rm(base.directory, { recursive: true });
});

const w = Float64Array.of(0.6, -0.8, 1.1);
const hub = (form: "updates" | "factors") => openHub(backend, { base, adapters, loss: nextToken, batches, form });
const lossAt = async (weighted: readonly (StoredAdapter & { weight: number })[]): Promise<number> => {
  const inference = await adaptedInference(backend, base, weighted);
  const { loss } = await evaluateLoss(backend, { base, inference, loss: nextToken, batches });
  await inference.dispose();
  return loss;
};
const at = (weights: Float64Array) => adapters.map((stored, index) => ({ ...stored, weight: weights[index] }));

describe("the loss of a hub", () => {
  it("is that of the adapters at their weights, on updates", async () => {
    const loss = await hub("updates");
    expect(await loss.value(w)).toBeCloseTo(await lossAt(at(w)), 5);
    expect(await loss.value(new Float64Array(3))).toBeCloseTo(await lossAt(at(new Float64Array(3))), 5);
    await loss.dispose();
  });

  it("is that of the paper's composition, on factors", async () => {
    const loss = await hub("factors");
    const { stored } = await composeAdapters(backend, base, at(w), { method: "lorahub" });
    expect(await loss.value(w)).toBeCloseTo(await lossAt([{ ...stored, weight: 1 }]), 5);
    await loss.dispose();
  });

  it.each(["updates", "factors"] as const)("has the gradient of differences, on %s", async (form) => {
    const loss = await hub(form);
    const { gradient, loss: value } = await loss.gradient(w);
    expect(value).toBeCloseTo(await loss.value(w), 5);
    const step = 1e-2;
    for (let index = 0; index < 3; index++) {
      const moved = (by: number): Float64Array => w.map((each, place) => (place === index ? each + by : each));
      const slope = ((await loss.value(moved(step))) - (await loss.value(moved(-step)))) / (2 * step);
      expect(gradient[index]).toBeCloseTo(slope, 2);
    }
    await loss.dispose();
  });
});

describe("strategies", () => {
  it("find no worse weights than the base's and the best adapter's, those that search", async () => {
    const loss = await hub("updates");
    const found = async (strategy: StrategyName) =>
      (await chooseWeights(loss, { adapters, strategy, evaluations: 60, regularisation: 0, seed: 3 })).loss;
    const losses = Object.fromEntries(
      await Promise.all((Object.keys(strategies) as StrategyName[]).map(async (name) => [name, await found(name)] as const)),
    );
    for (const name of ["cma-es", "nelder-mead", "gradient"])
      expect(losses[name], name).toBeLessThan(Math.min(losses["base"], losses["single"]));
    expect(losses["greedy"]).toBeLessThanOrEqual(losses["single"]);
    await loss.dispose();
  });

  it("give the same adapter by the same seed, which has the loss that they say", async () => {
    const compose = (seed: number) =>
      hubCompose(backend, { base, adapters, loss: nextToken, batches, evaluations: 25, regularisation: 0.05, seed });
    const [first, second, other] = [await compose(1), await compose(1), await compose(2)];
    expect(first.stored.parameters).toEqual(second.stored.parameters);
    expect(first.weights).not.toEqual(other.weights);
    expect(await lossAt([{ ...first.stored, weight: 1 }])).toBeCloseTo(first.loss, 5);
    expect(Math.max(...first.weights.map(Math.abs))).toBeLessThanOrEqual(1.5);
  });

  it("refuses to choose among nothing", async () => {
    await expect(openHub(backend, { base, adapters: [], loss: nextToken, batches })).rejects.toThrow("There is nothing to compose");
  });
});
