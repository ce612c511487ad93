import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { countingBackend } from "../../test/counting-backend.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { openBase, storedTensors, storedValues, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { f32, random, type HostTensor } from "../util/index.ts";
import type { LoraOptions } from "./config.ts";
import { mergedTensors, mergeModule, unmergeModule, type WeightedAdapter } from "./merge.ts";

const backend = countingBackend(referenceBackend());
const module = "model.layers.0.mlp.down_proj";
const shape = [16, 24];

let base: Base;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  base = await openBase(await tinyModel({ vocab_size: 97 }));
});

const relative = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((sum, value, index) => sum + (value - b[index]) ** 2, 0) / b.reduce((sum, value) => sum + value ** 2, 0));
const valuesOf = ({ data }: HostTensor): Float32Array => data as Float32Array;
const randomWeight = (seed: number): HostTensor => {
  const generator = random(seed);
  return f32(
    Float32Array.from({ length: shape[0] * shape[1] }, () => generator.normal()),
    shape,
  );
};

/** One to three adapters of several ranks and scalings. */
const several = fc.array(
  fc.record({
    r: fc.integer({ min: 1, max: 5 }),
    lora_alpha: fc.integer({ min: 1, max: 16 }),
    use_rslora: fc.boolean(),
    weight: fc.double({ min: -2, max: 2, noNaN: true }),
    seed: fc.nat(),
  }),
  { minLength: 1, maxLength: 3 },
);
const adaptersOf = (settings: typeof several extends fc.Arbitrary<infer T> ? T : never): Promise<WeightedAdapter[]> =>
  Promise.all(settings.map(async ({ weight, seed, ...config }) => ({ ...(await randomAdapter(base, config, seed)), weight })));

describe("a merged weight", () => {
  it("is W + Σ weight·s·(A·B)ᵀ, element by element", async () => {
    await fc.assert(
      fc.asyncProperty(several, fc.nat(), async (settings, seed) => {
        const W = randomWeight(seed);
        const adapters = await adaptersOf(settings);
        const expected = Array.from(valuesOf(W));
        for (const { adapter, parameters, weight } of adapters) {
          const { scaling, rank, inFeatures, outFeatures } = adapter.targets.get(module)!;
          const part = (name: string): Float32Array =>
            viewOf(
              parameters,
              adapter.layout.slots.find((slot) => slot.name === `${module}.${name}`)!,
            );
          const [A, B] = [part("lora_A"), part("lora_B")]; // (in, r), (r, out)
          for (let o = 0; o < outFeatures; o++)
            for (let i = 0; i < inFeatures; i++)
              for (let k = 0; k < rank; k++) expected[o * inFeatures + i] += weight * scaling * A[i * rank + k] * B[k * outFeatures + o];
        }
        const merged = valuesOf((await mergeModule(backend, module, { weight: W }, adapters))!.weight);
        merged.forEach((value, index) => expect(value).toBeCloseTo(expected[index], 5));
      }),
      { numRuns: 20 },
    );
  });

  it("gives W back when it is unmerged", async () => {
    await fc.assert(
      fc.asyncProperty(several, fc.nat(), async (settings, seed) => {
        const W = randomWeight(seed);
        const adapters = await adaptersOf(settings);
        const merged = (await mergeModule(backend, module, { weight: W }, adapters))!;
        const back = (await unmergeModule(backend, module, merged, adapters))!;
        expect(relative(valuesOf(back.weight), valuesOf(W))).toBeLessThan(1e-6);
      }),
      { numRuns: 30 },
    );
  });

  it("is the same from the base's file as from its values", async () => {
    const adapters = await adaptersOf([{ r: 3, lora_alpha: 5, use_rslora: false, weight: 1, seed: 4 }]);
    const stored = { weight: storedTensors(base)(`${module}.weight`)! };
    const values = { weight: f32(await storedValues(base, `${module}.weight`), shape) };
    expect(await mergeModule(backend, module, stored, adapters)).toEqual(await mergeModule(backend, module, values, adapters));
  });

  it("is none where no adapter targets the module", async () => {
    const adapters = [{ ...(await randomAdapter(base, { target_modules: ["q_proj"] })), weight: 1 }];
    const own = { weight: randomWeight(0) };
    expect(await mergeModule(backend, module, own, adapters)).toBeUndefined();
    expect(await unmergeModule(backend, module, { ...own, kept: {} }, adapters)).toBeUndefined();
    expect(await mergeModule(backend, module, own, [])).toBeUndefined();
  });
});

describe("the tensors that adapters change", () => {
  it.each<[string, Parameters<typeof randomAdapter>[1][], string[]]>([
    ["targets", [{ target_modules: ["layers.1.mlp.up_proj"] }], ["model.layers.1.mlp.up_proj.weight"]],
    ["a tied head", [{ target_modules: ["lm_head"] }], ["lm_head.weight"]],
    [
      "a tied embedding, which the head leaves",
      [{ target_modules: ["layers.0.self_attn.k_proj"], modules_to_save: ["embed_tokens"] }],
      ["model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight", "lm_head.weight"],
    ],
    [
      "what either of two adapters changes, once",
      [
        { target_modules: ["lm_head", "layers.0.mlp.up_proj"] },
        { target_modules: ["layers.0.mlp.up_proj"], modules_to_save: ["lm_head", "model.norm"] },
      ],
      ["model.norm.weight", "lm_head.weight", "model.layers.0.mlp.up_proj.weight"],
    ],
  ])("are %s", async (_, configs, names) => {
    const adapters = await Promise.all(configs.map(async (config) => ({ ...(await randomAdapter(base, config)), weight: 1 })));
    const changed = mergedTensors(backend, base, adapters);
    expect([...changed.keys()].sort()).toEqual(names.sort());
    for (const [name, make] of changed)
      expect((await make()).shape).toEqual(base.weights.get(name === "lm_head.weight" ? "model.embed_tokens.weight" : name)!.shape);
  });

  it.each<[string, LoraOptions]>([
    ["LoRA", { lora_bias: false, bias: "lora_only" }],
    ["a shifted start", { init_lora_weights: "olora" }],
    ["DoRA", { use_dora: true }],
    ["a bias on B", { lora_bias: true }],
    ["AdaLoRA", { adalora: { total_step: 10 } }],
    ["VeRA, whose tensors all modules share", { vera: { projection_prng_key: 3 } }],
    ["an embedding and the head", { target_modules: ["embed_tokens", "lm_head"] }],
  ])("are the same, made at once or a few rows at a time: %s", async (_, config) => {
    const adapters = [
      { ...(await randomAdapter(base, config, 1, { backend })), weight: 0.7 },
      { ...(await randomAdapter(base, {}, 2)), weight: -0.4 },
    ];
    const apart = mergedTensors(backend, base, adapters, 5 * 16);
    for (const [name, make] of mergedTensors(backend, base, adapters)) {
      const [whole, blocks] = [await make(), await apart.get(name)!()];
      expect(blocks.shape).toEqual(whole.shape);
      expect(relative(valuesOf(blocks), valuesOf(whole))).toBeLessThan(1e-6);
    }
  });

  it("need a program for each block of rows, and only where the rows are outputs of this module alone", async () => {
    const programs = async (config: LoraOptions): Promise<number> => {
      const changed = mergedTensors(backend, base, [{ ...(await randomAdapter(base, config)), weight: 1 }], 5 * 24);
      const before = backend.made().programs;
      await changed.get(`${module}.weight`)!();
      return backend.made().programs - before;
    };
    expect(await programs({})).toBe(4); // 5 + 5 + 5 + 1 of 16 rows
    expect(await programs({ vera: { projection_prng_key: 3 } })).toBe(1);
  });

  it("are computed when they are asked for, and not before", async () => {
    const before = backend.made().programs;
    const changed = mergedTensors(backend, base, [{ ...(await randomAdapter(base)), weight: 1 }]);
    expect(backend.made().programs).toBe(before);
    await changed.get(`${module}.weight`)!();
    expect(backend.made().programs).toBe(before + 1);
    expect(backend.held().programs).toBe(0);
  });
});
