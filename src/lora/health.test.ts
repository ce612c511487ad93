/** @file Health figures of adapters whose updates are known: a direction that the base has, one that it has not, and several equal ones. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tinyModel } from "../../test/tiny-model.ts";
import { openBase, storedValues, type Base } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { planAdapter, valuesOf, type StoredAdapter } from "./adapter.ts";
import { svd } from "./algebra/svd.ts";
import { norm, rowsOf } from "./algebra/vectors.ts";
import { loraConfig } from "./config.ts";
import { adapterHealth } from "./health.ts";

const backend = ortBackend({ threads: 1 });
const module = "model.layers.0.mlp.down_proj"; // (16, 24)
let cache: string;
let base: Base;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), "lowrank-health-"));
  vi.stubEnv("LOWRANK_CACHE", cache);
  base = await openBase(await tinyModel());
});
afterAll(async () => {
  await backend.dispose();
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true });
  await rm(base.directory, { recursive: true });
});

/** ΔW = Σ sizes[k]·u[k]·v[k]ᵀ with u (out) and v (in) as pairs. */
const adapterOf = (pairs: readonly { size: number; u: Float64Array; v: Float64Array }[]): StoredAdapter => {
  const r = pairs.length;
  const adapter = planAdapter(base.model, loraConfig({ r, lora_alpha: r, target_modules: [module] }));
  const stored = { adapter, parameters: new Float32Array(adapter.layout.size), frozen: new Float32Array(0) };
  const values = valuesOf(stored);
  pairs.forEach(({ size, u, v }, k) => {
    v.forEach((value, row) => (values.get(`${module}.lora_A`)!.data[row * r + k] = size * value));
    u.forEach((value, column) => (values.get(`${module}.lora_B`)!.data[k * u.length + column] = value));
  });
  return stored;
};

describe("the health of an adapter", () => {
  it("tells a direction that the base leads with from one that it hardly has", async () => {
    const W = await storedValues(base, `${module}.weight`);
    const { U, S, V } = svd(rowsOf(W, 16, 24));
    const known = adapterOf([{ size: S[0], u: U[0], v: V[0] }]);
    // Twice the base's largest value along its weakest directions: a leading direction that was the last before.
    const strange = adapterOf([{ size: 2 * S[0], u: U[15], v: V[15] }]);
    const look = { directions: 3 };
    const [[first], [second]] = [await adapterHealth(backend, base, known, look), await adapterHealth(backend, base, strange, look)];
    expect(first).toMatchObject({ module, intruders: 0 });
    expect(second).toMatchObject({ module, intruders: 1 });
    expect(first.norm).toBeCloseTo(S[0], 4);
    expect(first.share).toBeCloseTo(S[0] / norm(S), 4);
  });

  it("counts the directions that an update is spread over", async () => {
    const W = await storedValues(base, `${module}.weight`);
    const { U, V } = svd(rowsOf(W, 16, 24));
    const pair = (size: number, k: number) => ({ size, u: U[k], v: V[k] });
    const [[one], [three], [mostlyOne]] = [
      await adapterHealth(backend, base, adapterOf([pair(1, 0)])),
      await adapterHealth(backend, base, adapterOf([pair(1, 0), pair(1, 1), pair(1, 2)])),
      await adapterHealth(backend, base, adapterOf([pair(1, 0), pair(0.1, 1)])),
    ];
    expect(one.effectiveRank).toBeCloseTo(1, 4);
    expect(three.effectiveRank).toBeCloseTo(3, 3);
    expect(mostlyOne.effectiveRank).toBeGreaterThan(1);
    expect(mostlyOne.effectiveRank).toBeLessThan(1.1);
  });
});
