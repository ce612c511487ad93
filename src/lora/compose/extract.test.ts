/** @file An adapter that is taken out of a tuned model: it gives back what was merged in, and says what a smaller rank loses. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { logitsAfter } from "../../../test/model-logits.ts";
import { randomAdapter, tinyModel } from "../../../test/tiny-model.ts";
import { openBase, type Base } from "../../models/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import type { LoraConfig } from "../config.ts";
import { writeMergedCheckpoint } from "../merged-checkpoint.ts";
import { composeAdapters } from "./compose.ts";
import { extractAdapter } from "./extract.ts";

const backend = ortBackend({ threads: 1 });
const ids = [1, 403, 407, 261, 378];
let folder: string;
let base: Base;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-extract-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  base = await openBase(await tinyModel());
});
afterAll(async () => {
  await backend.dispose();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
  await rm(base.directory, { recursive: true });
});

let written = 0;
const tunedWith = async (config: Partial<LoraConfig>): Promise<Base> => {
  const directory = join(folder, `tuned-${written++}`);
  await writeMergedCheckpoint(backend, base, [{ ...(await randomAdapter(base, config)), weight: 1 }], directory);
  return openBase(directory);
};
const distance = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index])), 0);

describe("extraction", () => {
  it("at the rank that was merged in gives the tuned model's logits, norms and all", async () => {
    const tuned = await tunedWith({ r: 3, target_modules: ["q_proj", "down_proj"], modules_to_save: ["model.norm"] });
    const { stored, modules, whole } = await extractAdapter(backend, base, tuned, { rank: 3 });
    expect(whole).toEqual(["model.norm"]);
    expect(modules).toHaveLength(4);
    for (const { error } of modules) expect(error).toBeLessThan(1e-5);
    const logits = await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]);
    expect(distance(logits, await logitsAfter(backend, tuned, ids))).toBeLessThan(1e-4);
  });

  it("keeps the share that is asked for, with the ranks that it takes, and never more than the rank", async () => {
    const tuned = await tunedWith({ r: 6 });
    const { modules } = await extractAdapter(backend, base, tuned, { rank: 6, energy: 0.8 });
    for (const { error, rank } of modules) {
      expect(1 - error ** 2).toBeGreaterThanOrEqual(0.8 - 1e-6);
      expect(rank).toBeLessThan(6);
    }
    expect(new Set(modules.map(({ rank }) => rank)).size).toBeGreaterThan(1);
    const low = await extractAdapter(backend, base, tuned, { rank: 2, energy: 0.8 });
    expect(low.modules.map(({ rank }) => Math.max(rank, 2))).toEqual(low.modules.map(() => 2));
  });

  it("refuses the base itself, and a model of other shapes", async () => {
    await expect(extractAdapter(backend, base, base, { rank: 2 })).rejects.toThrow("No linear module differs between the two models.");
    const other = await openBase(await tinyModel({ intermediate_size: 32 }));
    await expect(extractAdapter(backend, base, other, { rank: 2 })).rejects.toThrow("The two models have not the same tensors.");
  });
});

describe("resizing", () => {
  it("by energy takes the smallest ranks that keep the share", async () => {
    const one = { ...(await randomAdapter(base, { r: 6 })), weight: 1 };
    const { modules, energy } = await composeAdapters(backend, base, [one], { method: "svd", rank: 6, energy: 0.7 });
    for (const { error, rank } of modules) {
      expect(1 - error ** 2).toBeGreaterThanOrEqual(0.7 - 1e-6);
      expect(rank).toBeLessThan(6);
    }
    expect(energy).toBeGreaterThan(0.7);
  });

  it("to a larger rank changes nothing", async () => {
    const one = { ...(await randomAdapter(base, { r: 2 })), weight: 1 };
    const { stored, error } = await composeAdapters(backend, base, [one], { method: "svd", rank: 5 });
    expect(error).toBeLessThan(1e-6);
    const [before, after] = [
      await logitsAfter(backend, base, ids, [one]),
      await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }]),
    ];
    expect(distance(before, after)).toBeLessThan(1e-4);
  });
});
