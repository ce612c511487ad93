/** @file A base whose linear modules multiply with fewer bits: what is prepared, how far its logits move, that it is made once, and what files hold. */
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { packedByHand } from "../../test/bitsandbytes.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { openCheckpoint, readTensorF32, tensorSources, writeCheckpoint } from "../formats/index.ts";
import { precisions, type PrecisionName } from "../nn/index.ts";
import { ortBackend } from "../runtime/index.ts";
import type { HostTensor } from "../util/index.ts";
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

const ids = [1, 403, 407, 261, 378];

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

/** Cosines of logits that forms may have with those of float32 at least. */
const nearness: Record<PrecisionName, number> = { int8: 0.998, int4: 0.96, nf4: 0.94 };

describe.each(Object.keys(precisions) as PrecisionName[])("a base in %s", (precision) => {
  it.each([
    ["a tied head", {}],
    ["biases and a head of its own", { attention_bias: true, mlp_bias: true, tie_word_embeddings: false }],
  ])("has nearly the logits of float32, with %s", async (_, overrides) => {
    const folder = await made(overrides);
    const exact = await logitsAfter(backend, await openBase(folder), ids);
    const rounded = await logitsAfter(backend, await openBase(folder, { precision }), ids);
    expect(cosine(rounded, exact)).toBeGreaterThan(nearness[precision]);
    expect(cosine(rounded, exact)).toBeLessThan(0.9999999);
  });
});

describe("a base in 4-bit NormalFloat", () => {
  it("keeps its head exact", async () => {
    const { weights } = await openBase(await made({ tie_word_embeddings: false }), { precision: "nf4" });
    expect(weights.has("lm_head.nf4")).toBe(false);
    expect(weights.has("model.layers.0.mlp.up_proj.nf4")).toBe(true);
  });

  it.each([false, true])("is what bitsandbytes' file holds, scales packed: %s", async (isNested) => {
    const plain = await made({}, 5);
    const { config, tensors } = await openCheckpoint(plain);
    const [packed, unpacked] = [new Map<string, HostTensor>(), new Map<string, HostTensor>()];
    for (const [name, location] of tensors) {
      const tensor = await readTensorF32(location);
      if (!name.includes("_proj")) for (const map of [packed, unpacked]) map.set(name, tensor);
      else {
        const made = packedByHand(name, tensor, "float32", isNested);
        for (const [part, stored] of made.tensors) packed.set(part, stored);
        unpacked.set(name, { ...tensor, data: made.values });
      }
    }
    const [file, same] = [await made(), await made()];
    await writeCheckpoint(file, {
      config: { ...config, quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true } },
      tensors: tensorSources(packed),
    });
    await writeCheckpoint(same, { config, tensors: tensorSources(unpacked) });
    const expected = await logitsAfter(backend, await openBase(same), ids);
    expect(await logitsAfter(backend, await openBase(file), ids)).toEqual(expected);
    const held = await logitsAfter(backend, await openBase(file, { precision: "nf4" }), ids);
    expect(largestDifference(held, expected)).toBeLessThan(1e-5);
    expect((await openBase(file)).digest).toBe((await openBase(same)).digest);
  });
});

describe("a rounded base", () => {
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

describe.each(Object.keys(precisions) as PrecisionName[])("adapters on a base in %s", (precision) => {
  it.each<[string, Parameters<typeof randomAdapter>[1]]>([
    ["every linear module", {}],
    ["a head that is trained whole", { target_modules: ["q_proj"], modules_to_save: ["lm_head"] }],
  ])("act beside it and folded in nearly alike: %s", async (_, config) => {
    const folder = await made({}, 3);
    const base = await openBase(folder, { precision });
    const adapters = [{ ...(await randomAdapter(base, config)), weight: 1 }];
    const exact = await logitsAfter(backend, await openBase(folder), ids, adapters);
    const plain = await logitsAfter(backend, base, ids);
    for (const way of ["beside", "folded"] as const) {
      const logits = await logitsAfter(backend, base, ids, adapters, way);
      expect(cosine(logits, exact), way).toBeGreaterThan(nearness[precision]);
      expect(cosine(logits, exact), way).toBeGreaterThan(cosine(plain, exact));
    }
  });
});
