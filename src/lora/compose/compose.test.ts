/** @file Composed adapters against the weighted sum of those they are made of: logits, updates, and the figures that are reported. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, asyncProperty, double, integer, array } from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { logitsAfter } from "../../../test/model-logits.ts";
import { randomAdapter, tinyModel } from "../../../test/tiny-model.ts";
import { openBase, type Base } from "../../models/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { svd } from "../algebra/svd.ts";
import type { LoraConfig } from "../config.ts";
import type { WeightedAdapter } from "../merge.ts";
import { loadAdapter, saveAdapter } from "../store.ts";
import { composeAdapters } from "./compose.ts";
import { methods } from "./method.ts";
import { sumOfTerms, termsOf } from "./term.ts";

const backend = ortBackend({ threads: 1 });
const ids = [1, 403, 407, 261, 378];
let folder: string;
let base: Base;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-compose-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  base = await openBase(await tinyModel());
});
afterAll(async () => {
  await backend.dispose();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
  await rm(base.directory, { recursive: true });
});

const adapters = async (weights: readonly number[], configs: readonly Partial<LoraConfig>[], seed = 1): Promise<WeightedAdapter[]> =>
  Promise.all(
    weights.map(async (weight, index) => ({ ...(await randomAdapter(base, configs[index % configs.length], seed + index)), weight })),
  );

/** Largest difference of logits over their size. */
const relative = (a: Float32Array, b: Float32Array): number => {
  const size = Math.sqrt(b.reduce((sum, value) => sum + value ** 2, 0) / b.length);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index])), 0) / size;
};

const various: Partial<LoraConfig>[] = [
  { r: 2, lora_alpha: 3 },
  { r: 5, lora_alpha: 4, use_rslora: true },
  { r: 3, lora_alpha: 6, target_modules: ["q_proj", "down_proj"], rank_pattern: { down_proj: 4 }, alpha_pattern: { q_proj: 2 } },
  { r: 2, target_modules: ["embed_tokens", "o_proj"] },
];

describe("composition", () => {
  it("by concatenation has the weighted sum's outputs, whatever the ranks, scalings, targets and signs", async () => {
    await assert(
      asyncProperty(
        array(double({ min: -1.5, max: 1.5, noNaN: true }), { minLength: 1, maxLength: 4 }),
        integer({ min: 1, max: 1000 }),
        async (weights, seed) => {
          const given = await adapters(weights, various, seed);
          const { stored, error } = await composeAdapters(backend, base, given);
          expect(error).toBeLessThan(1e-6);
          const together = await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]);
          expect(relative(together, await logitsAfter(backend, base, ids, given))).toBeLessThan(1e-5);
        },
      ),
      { numRuns: 8 },
    );
  });

  it("by SVD at full rank has them likewise", async () => {
    const given = await adapters([0.7, -0.4, 1.2], various);
    const { stored, error } = await composeAdapters(backend, base, given, { method: "svd", rank: 12 });
    expect(error).toBeLessThan(1e-6);
    const together = await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]);
    expect(relative(together, await logitsAfter(backend, base, ids, given))).toBeLessThan(1e-5);
  });

  it.each([1, 2, 4])("by SVD at rank %i is as near as anything of that rank can be, and says how near", async (rank) => {
    const given = await adapters([1, 1, -0.5], [{ r: 3 }, { r: 4 }]);
    const { modules, stored } = await composeAdapters(backend, base, given, { method: "svd", rank });
    for (const { module, error, rank: own } of modules) {
      const { a, b } = sumOfTerms(await termsOf(backend, base, given, module, 4));
      const rows = Array.from(a[0], (_, row) =>
        Float64Array.from(b[0], (_unused, column) => a.reduce((sum, x, k) => sum + x[row] * b[k][column], 0)),
      );
      const { S } = svd(rows);
      const all = S.reduce((sum, value) => sum + value ** 2, 0);
      const optimum = Math.sqrt(S.slice(rank).reduce((sum, value) => sum + value ** 2, 0) / all);
      expect(Math.abs(error / optimum - 1)).toBeLessThan(1e-4);
      expect(own).toBe(rank);
    }
    expect(stored.adapter.targets.get("model.layers.0.self_attn.q_proj")).toMatchObject({ rank, scaling: 1 });
  });

  it("by adding the factors has cross terms, and says so", async () => {
    const given = await adapters([1, 1], [{ r: 4 }]);
    const { error } = await composeAdapters(backend, base, given, { method: "linear" });
    // Two independent adapters: the cross terms are as large as the adapters themselves.
    expect(error).toBeGreaterThan(0.7);
    expect((await composeAdapters(backend, base, given, { method: "linear_svd", rank: 8 })).error).toBeLessThan(1e-5);
  });

  it("gives back a single adapter by every method that prunes nothing", async () => {
    const given = await adapters([1], [{ r: 4, lora_alpha: 6 }]);
    const before = await logitsAfter(backend, base, ids, given);
    for (const method of Object.keys(methods)) {
      const { stored, error } = await composeAdapters(backend, base, given, { method, density: 1 });
      expect(error, method).toBeLessThan(1e-5);
      expect(relative(await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]), before), method).toBeLessThan(1e-5);
    }
  });

  it("takes an adapter's effect away at a negative weight", async () => {
    const [one] = await adapters([1], [{ r: 2 }]);
    const { stored } = await composeAdapters(backend, base, [one, { ...one, weight: -1 }]);
    const logits = await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]);
    expect(relative(logits, await logitsAfter(backend, base, ids))).toBeLessThan(1e-5);
  });

  it("mixes what adapters train whole, and weighs modules apart", async () => {
    const given = await adapters([0.5, 0.5], [{ r: 2, modules_to_save: ["lm_head"] }, { r: 2 }]);
    const { stored } = await composeAdapters(backend, base, given, { moduleWeight: (module) => (module.includes("layers.0") ? 0 : 1) });
    const upper = given.map((adapter) => ({ ...adapter }));
    const logits = await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]);
    expect(relative(logits, await logitsAfter(backend, base, ids, upper))).toBeGreaterThan(1e-3);
    const { stored: all } = await composeAdapters(backend, base, given);
    const whole = await logitsAfter(backend, base, ids, [{ ...all, weight: 1 }]);
    expect(relative(whole, await logitsAfter(backend, base, ids, upper))).toBeLessThan(1e-5);
  });

  it("weighs each adapter in each module by itself", async () => {
    const [one, other] = await adapters([0.5, -1], [{ r: 2 }, { r: 3 }]);
    const lower = (module: string): number => (module.includes("layers.0") ? 0.25 : 1);
    const { stored } = await composeAdapters(backend, base, [one, other], {
      moduleWeight: (module, index) => (index === 0 ? lower(module) : 1),
    });
    const { stored: alone } = await composeAdapters(backend, base, [one], { moduleWeight: lower });
    const expected = await logitsAfter(backend, base, ids, [{ ...alone, weight: 1 }, other]);
    expect(relative(await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]), expected)).toBeLessThan(1e-5);
    expect(relative(await logitsAfter(backend, base, ids, [one, other]), expected)).toBeGreaterThan(1e-3);
  });

  it("brings DoRA to the nearest product, and says what that loses", async () => {
    const given = await adapters([1], [{ r: 2, use_dora: true, target_modules: ["v_proj"] }]);
    const exact = await logitsAfter(backend, base, ids, given);
    const low = await composeAdapters(backend, base, given, { method: "svd", rank: 2 });
    const full = await composeAdapters(backend, base, given, { method: "svd", rank: 8 });
    expect(low.error).toBeGreaterThan(0.05);
    expect(full.error).toBeLessThan(1e-3);
    const error = async ({ stored }: typeof low): Promise<number> =>
      relative(await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]), exact);
    expect(await error(full)).toBeLessThan(1e-4);
    expect(await error(low)).toBeGreaterThan(await error(full));
  });

  it("writes an ordinary adapter", async () => {
    const given = await adapters([0.3, 0.8], various);
    const { stored } = await composeAdapters(backend, base, given);
    const directory = join(folder, "written");
    await saveAdapter(directory, base.model, stored, base.digest);
    const again = await loadAdapter(directory, base.model, { baseDigest: base.digest });
    expect(again.parameters).toEqual(stored.parameters);
  });

  it.each<[string, Parameters<typeof composeAdapters>[3], Partial<LoraConfig>[], string]>([
    ["an unknown method", { method: "mean" }, [{}], 'There is no method "mean". Choose among cat, svd, lorahub,'],
    ["factors of two ranks", { method: "ties" }, [{ r: 2 }, { r: 4 }], "have the ranks 2, 4 here"],
    ["rows of tokens", {}, [{ trainable_token_indices: [3] }], 'An adapter trains rows of tokens ("trainable_token_indices")'],
    ["biases on B", {}, [{ lora_bias: true }], "changes the bias of model.layers.0.self_attn.q_proj"],
  ])("refuses %s", async (_, options, configs, message) => {
    const given = await adapters(
      configs.map(() => 1),
      configs,
    );
    await expect(composeAdapters(backend, base, given, options)).rejects.toThrow(message);
  });
});
