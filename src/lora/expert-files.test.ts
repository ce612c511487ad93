import * as fc from "fast-check";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { readPeftAdapter, readSafetensorsHeader, writePeftAdapter } from "../formats/index.ts";
import { modelOf, openBase, type Base } from "../models/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { planAdapter, valuesOf } from "./adapter.ts";
import { composeAdapters } from "./compose/compose.ts";
import { loraConfig } from "./config.ts";
import { stackExperts, unstackExperts } from "./expert-files.ts";
import { adapterHealth } from "./health.ts";
import { loadAdapter, saveAdapter } from "./store.ts";

const counted = (shape: readonly number[]): HostTensor =>
  f32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, index) => index),
    shape,
  );

/** Targets of a Mixtral with one layer. */
const targetsOf = (experts: number, rank: number, target_parameters: string[]) => {
  const config = {
    model_type: "mixtral",
    vocab_size: 5,
    hidden_size: 2,
    intermediate_size: 3,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    num_local_experts: experts,
    num_experts_per_tok: 1,
  };
  const given = loraConfig({ r: rank, target_modules: [], target_parameters });
  return [...planAdapter(modelOf(config, "config.json"), given).targets.values()];
};
const experts = "model.layers.0.mlp.experts";

describe("factors of stacked experts", () => {
  it("lie expert by expert in A and rank by rank in B", () => {
    const targets = targetsOf(2, 2, ["down_proj"]);
    // One number for each (rank, expert): 10·expert + rank.
    const tensors = new Map(
      targets.flatMap(({ module, inFeatures, outFeatures }, e) => [
        [
          `${module}.lora_A`,
          f32(
            Float32Array.from({ length: 2 * inFeatures }, (_, i) => 10 * e + (i % 2)),
            [inFeatures, 2],
          ),
        ] as const,
        [
          `${module}.lora_B`,
          f32(
            Float32Array.from({ length: 2 * outFeatures }, (_, i) => 10 * e + Math.floor(i / outFeatures)),
            [2, outFeatures],
          ),
        ] as const,
      ]),
    );
    const stacked = stackExperts(targets, tensors);
    expect([...stacked.keys()]).toEqual([`${experts}.lora_A`, `${experts}.lora_B`]);
    const A = stacked.get(`${experts}.lora_A`)!;
    expect([A.shape, [...A.data.subarray(0, 4)]]).toEqual([
      [3, 4],
      [0, 1, 10, 11],
    ]);
    const B = stacked.get(`${experts}.lora_B`)!;
    expect([B.shape, [...B.data]]).toEqual([
      [4, 2],
      [0, 0, 10, 10, 1, 1, 11, 11],
    ]);
  });

  it("lie under base_layer for the parameter that PEFT wraps first", () => {
    const names = (parameters: string[]): string[] => {
      const targets = targetsOf(2, 1, parameters);
      const tensors = targets.flatMap(({ module, inFeatures, outFeatures }) => [
        [`${module}.lora_A`, counted([inFeatures, 1])] as const,
        [`${module}.lora_B`, counted([1, outFeatures])] as const,
      ]);
      return [...stackExperts(targets, new Map(tensors)).keys()].filter((name) => name.endsWith("A"));
    };
    expect(names(["down_proj", "gate_up_proj"])).toEqual([`${experts}.base_layer.lora_A`, `${experts}.lora_A`]);
    expect(names(["gate_up_proj"])).toEqual([`${experts}.lora_A`]);
    expect(names(["gate.weight", "down_proj"])).toEqual(["model.layers.0.mlp.gate.lora_A", `${experts}.lora_A`]);
  });

  it("come back as they were", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), fc.boolean(), (count, rank, both) => {
        const targets = targetsOf(count, rank, both ? ["gate_up_proj", "down_proj", "gate.weight"] : ["gate_up_proj"]);
        const tensors = new Map<string, HostTensor>(
          targets.flatMap(({ module, inFeatures, outFeatures }) => [
            [`${module}.lora_A`, counted([inFeatures, rank])] as const,
            [`${module}.lora_B`, counted([rank, outFeatures])] as const,
          ]),
        );
        tensors.set("model.norm.weight", counted([2]));
        const back = unstackExperts(targets, stackExperts(targets, tensors));
        expect(back).toEqual(tensors);
      }),
    );
  });

  it("of another shape stay where they are, for the error that names them", () => {
    const wrong = new Map([[`${experts}.lora_A`, counted([3, 3])]]);
    expect(unstackExperts(targetsOf(2, 2, ["down_proj"]), wrong)).toEqual(wrong);
  });
});

describe("adapters on experts", () => {
  let backend: Backend;
  let base: Base;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lowrank-experts-"));
    process.env["LOWRANK_CACHE"] = join(folder, "cache");
    backend = ortBackend({ threads: 1 });
    base = await openBase(await tinyModel({ vocab_size: 97, model_type: "mixtral", num_local_experts: 3, num_experts_per_tok: 2 }));
  });
  afterAll(() => backend.dispose());

  const ids = [5, 9, 31, 77, 2, 60];
  const both = { r: 2, target_modules: ["q_proj"], target_parameters: ["gate_up_proj", "down_proj", "gate.weight"] };

  it("act merged as they act beside the base, weighted and two at once, and not at weight zero", async () => {
    const [first, second] = [await randomAdapter(base, both, 1), await randomAdapter(base, { ...both, r: 3 }, 2)];
    const active = [
      { ...first, weight: 0.7 },
      { ...second, weight: -0.4 },
    ];
    const plain = await logitsAfter(backend, base, ids);
    const beside = await logitsAfter(backend, base, ids, active);
    expect(largestDifference(beside, plain)).toBeGreaterThan(1e-2);
    expect(largestDifference(await logitsAfter(backend, base, ids, active, "folded"), beside)).toBeLessThan(1e-5);
    expect(largestDifference(await logitsAfter(backend, base, ids, [{ ...first, weight: 0 }]), plain)).toBeLessThan(1e-6);
  });

  it("are composed exactly, and by SVD with one rank for the experts of a parameter", async () => {
    const given = [
      { ...(await randomAdapter(base, both, 1)), weight: 0.7 },
      { ...(await randomAdapter(base, { ...both, r: 3 }, 2)), weight: -0.4 },
    ];
    // One expert for which one direction is nearly all.
    const large = valuesOf(given[0]).get(`${experts}.down_proj.0.lora_B`)!.data as Float32Array;
    large.forEach((value, index) => (large[index] = index < 16 ? 40 * value : 0));
    const expected = await logitsAfter(backend, base, ids, given);
    const exact = await composeAdapters(backend, base, given);
    expect(largestDifference(await logitsAfter(backend, base, ids, [{ ...exact.stored, weight: 1 }]), expected)).toBeLessThan(1e-5);
    const near = await composeAdapters(backend, base, given, { method: "svd", rank: 5, energy: 0.8 });
    const { targets, config } = near.stored.adapter;
    const found = near.modules.filter(({ module }) => module.startsWith(`${experts}.down_proj`)).map(({ rank }) => rank);
    expect(new Set(found).size).toBeGreaterThan(1);
    for (const index of found.keys()) expect(targets.get(`${experts}.down_proj.${index}`)!.rank).toBe(Math.max(...found));
    expect(config.target_modules).toEqual(["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"]);
    const directory = join(folder, "composed");
    await saveAdapter(directory, base.model, near.stored, base.digest);
    expect((await loadAdapter(directory, base.model, { baseDigest: base.digest })).parameters).toEqual(near.stored.parameters);
  });

  it("are measured in their whole parameter", async () => {
    const stored = await randomAdapter(base, both);
    const health = await adapterHealth(backend, base, stored, { directions: 3 });
    const { norm } = health.find(({ module }) => module === `${experts}.gate_up_proj.2`)!;
    const values = valuesOf(stored);
    const [A, B] = ["A", "B"].map((factor) => values.get(`${experts}.gate_up_proj.2.lora_${factor}`)!.data as Float32Array);
    let squares = 0;
    for (let i = 0; i < 16; i++) for (let o = 0; o < 48; o++) squares += (A[2 * i] * B[o] + A[2 * i + 1] * B[48 + o]) ** 2;
    expect(norm).toBeCloseTo(4 * Math.sqrt(squares), 4);
  });

  it("are kept in PEFT's files and taken back the same", async () => {
    const stored = await randomAdapter(base, both);
    const directory = join(folder, "saved");
    await saveAdapter(directory, base.model, stored, base.digest);
    const { tensors } = await readSafetensorsHeader(join(directory, "adapter_model.safetensors"));
    const shapeOf = (name: string) => tensors.get(`base_model.model.model.layers.1.mlp.${name}.weight`)?.shape;
    expect(shapeOf("experts.base_layer.lora_A")).toEqual([2 * 3, 16]);
    expect(shapeOf("experts.base_layer.lora_B")).toEqual([2 * 24, 2 * 3]);
    expect(shapeOf("experts.lora_A")).toEqual([2 * 3, 24]);
    expect(shapeOf("gate.lora_B")).toEqual([3, 2]);
    const loaded = await loadAdapter(directory, base.model, { baseDigest: base.digest });
    expect(loaded.parameters).toEqual(stored.parameters);
  });

  it("of older files, which have the experts' modules, are joined into one pair", async () => {
    const directory = join(folder, "old");
    const config = { peft_type: "LORA", r: 2, lora_alpha: 2, target_modules: ["w1", "w2", "w3"] };
    const tensors = new Map<string, HostTensor>();
    const pair = (module: string, inFeatures: number, outFeatures: number): void => {
      tensors.set(`${module}.lora_A`, f32(normal(inFeatures * 2, tensors.size), [inFeatures, 2]));
      tensors.set(`${module}.lora_B`, f32(normal(outFeatures * 2, tensors.size), [2, outFeatures]));
    };
    for (const layer of [0, 1])
      for (const index of [0, 1, 2])
        for (const [name, inFeatures, outFeatures] of [
          ["w1", 16, 24],
          ["w2", 24, 16],
          ["w3", 16, 24],
        ] as const)
          pair(`model.layers.${layer}.block_sparse_moe.experts.${index}.${name}`, inFeatures, outFeatures);
    await writePeftAdapter(directory, { config, tensors, metadata: {} });
    const loaded = await loadAdapter(directory, base.model, { baseDigest: base.digest });
    const values = valuesOf(loaded);
    const joint = "model.layers.1.mlp.experts.gate_up_proj.2";
    const own = (name: string, factor: string): Float32Array =>
      tensors.get(`model.layers.1.block_sparse_moe.experts.2.${name}.lora_${factor}`)!.data as Float32Array;
    const [A, B] = [values.get(`${joint}.lora_A`)!, values.get(`${joint}.lora_B`)!];
    expect([A.shape, B.shape]).toEqual([
      [16, 4],
      [4, 48],
    ]);
    expect([...A.data.subarray(0, 4)]).toEqual([...own("w1", "A").subarray(0, 2), ...own("w3", "A").subarray(0, 2)]);
    expect([...B.data.subarray(0, 48)]).toEqual([...own("w1", "B").subarray(0, 24), ...new Float32Array(24)]);
    expect([...B.data.subarray(3 * 48)]).toEqual([...new Float32Array(24), ...own("w3", "B").subarray(24)]);
    expect((await readPeftAdapter(directory)).tensors.size).toBe(36);
  });
});

const normal = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(1 + index + 7 * seed));
