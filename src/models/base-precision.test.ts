/** @file A base whose linear modules multiply with fewer bits: what is prepared, how far its logits move, and that it is made once. */
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { logitsAfter } from "../../test/model-logits.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { ortBackend } from "../runtime/index.ts";
import { openBase } from "./base.ts";

const cache = mkdtempSync(join(tmpdir(), "lowrank-precision-"));
const folders: string[] = [];
const backend = ortBackend({ threads: 1 });
beforeAll(() => void vi.stubEnv("LOWRANK_CACHE", cache));
afterAll(async () => {
  await backend.dispose();
  vi.unstubAllEnvs();
  for (const folder of [cache, ...folders]) rmSync(folder, { recursive: true });
});

const made = async (...given: Parameters<typeof tinyModel>): Promise<string> => {
  const folder = await tinyModel(...given);
  folders.push(folder);
  return folder;
};
const prepared = (): string =>
  join(
    cache,
    "weights",
    readdirSync(join(cache, "weights")).find((name) => name.includes(".int8."))!,
  );
const cosine = (a: Float32Array, b: Float32Array): number => {
  const dot = (x: Float32Array, y: Float32Array): number => x.reduce((sum, value, index) => sum + value * y[index], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

describe("a base in 8 bits", () => {
  it.each([
    ["a tied head", {}],
    ["biases and a head of its own", { attention_bias: true, mlp_bias: true, tie_word_embeddings: false }],
  ])("has nearly the logits of float32, with %s", async (_, overrides) => {
    const folder = await made(overrides);
    const ids = [1, 403, 407, 261, 378];
    const exact = await logitsAfter(backend, await openBase(folder), ids);
    const rounded = await logitsAfter(backend, await openBase(folder, { precision: "int8" }), ids);
    expect(cosine(rounded, exact)).toBeGreaterThan(0.999);
    expect(cosine(rounded, exact)).toBeLessThan(0.9999999);
  });

  it("is prepared once, and again where the file is damaged", async () => {
    const folder = await made({}, 7);
    rmSync(join(cache, "weights"), { recursive: true, force: true });
    await openBase(folder, { precision: "int8" });
    const first = statSync(prepared());
    await openBase(folder, { precision: "int8" });
    expect(statSync(prepared()).ino).toBe(first.ino);
    truncateSync(prepared(), first.size - 1);
    const { weights } = await openBase(folder, { precision: "int8" });
    expect(statSync(prepared()).size).toBe(first.size);
    expect(weights.get("model.layers.0.self_attn.q_proj.int8")).toMatchObject({ dtype: "i8", shape: [16, 16], path: prepared() });
  });
});

describe("adapters on a base in 8 bits", () => {
  const ids = [1, 403, 407, 261, 378];

  it.each<[string, Parameters<typeof randomAdapter>[1]]>([
    ["every linear module", {}],
    ["a head that is trained whole", { target_modules: ["q_proj"], modules_to_save: ["lm_head"] }],
  ])("act beside it and folded in nearly alike: %s", async (_, config) => {
    const folder = await made({}, 3);
    const base = await openBase(folder, { precision: "int8" });
    const adapters = [{ ...(await randomAdapter(base, config)), weight: 1 }];
    const exact = await logitsAfter(backend, await openBase(folder), ids, adapters);
    const plain = await logitsAfter(backend, base, ids);
    for (const way of ["beside", "folded"] as const) {
      const logits = await logitsAfter(backend, base, ids, adapters, way);
      expect(cosine(logits, exact), way).toBeGreaterThan(0.998);
      expect(cosine(logits, exact), way).toBeGreaterThan(cosine(plain, exact));
    }
  });
});
