import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { countOf } from "../../test/graph-facts.ts";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { loraConfig, planAdapter, type LoraOptions, type WeightedAdapter } from "../lora/index.ts";
import { openBase, storedValues, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { decodeProgram } from "./decode-program.ts";
import { adaptedInference, baseInference, mergedInference } from "./inference.ts";

const small = { vocab_size: 97 };
let bases: Readonly<Record<"tied" | "untied" | "biased", Base>>;
let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  bases = {
    tied: await openBase(await tinyModel(small)),
    untied: await openBase(await tinyModel({ ...small, tie_word_embeddings: false })),
    biased: await openBase(await tinyModel({ ...small, attention_bias: true, mlp_bias: true })),
  };
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

const prompt = [1, 40, 17, 96, 3, 3, 58];

const baseLogits = (base: Base): Promise<Float32Array> => logitsAfter(backend, base, prompt);
const beside = (base: Base, adapters: readonly WeightedAdapter[]): Promise<Float32Array> => logitsAfter(backend, base, prompt, adapters);
const folded = (base: Base, adapters: readonly WeightedAdapter[]): Promise<Float32Array> =>
  logitsAfter(backend, base, prompt, adapters, "folded");

const kinds: readonly (readonly [string, keyof typeof bases, LoraOptions])[] = [
  ["queries and values", "tied", { target_modules: ["q_proj", "v_proj"] }],
  ["every linear module, rank-stabilised", "tied", { use_rslora: true, lora_alpha: 4 }],
  ["ranks and α by pattern", "untied", { rank_pattern: { q_proj: 2, "layers.1.mlp.down_proj": 6 }, alpha_pattern: { v_proj: 3 } }],
  ["a tied head", "tied", { target_modules: ["lm_head", "o_proj"] }],
  ["a head of its own", "untied", { target_modules: ["lm_head"] }],
  ["a tied head trained whole", "tied", { target_modules: ["q_proj"], modules_to_save: ["lm_head"] }],
  ["norms trained whole", "untied", { modules_to_save: ["norm"] }],
  ["a tied embedding trained whole", "tied", { modules_to_save: ["embed_tokens"] }],
  ["an embedding trained whole", "untied", { modules_to_save: ["embed_tokens"] }],
  ["biases of its targets", "biased", { target_modules: ["k_proj", "up_proj"], bias: "lora_only" }],
  ["every bias", "biased", { target_modules: ["v_proj"], bias: "all" }],
  ["a tied embedding", "tied", { target_modules: ["embed_tokens", "q_proj"] }],
  ["every linear module by DoRA", "biased", { use_dora: true }],
  ["embedding and head by DoRA", "untied", { use_dora: true, target_modules: ["embed_tokens", "lm_head"] }],
  ["every linear module, with biases on B", "biased", { lora_bias: true }],
  ["every linear module by LoRA-FA", "tied", { freeze_A: true }],
  ["every linear module by VeRA", "biased", { vera: { projection_prng_key: 4, d_initial: 0.5 }, r: 40 }],
  ["every linear module by AdaLoRA", "biased", { adalora: {}, lora_alpha: 40 }],
  ["rows of tokens, tied", "tied", { target_modules: ["v_proj"], trainable_token_indices: [3, 96, 5] }],
  ["rows of tokens", "untied", { target_modules: ["v_proj"], trainable_token_indices: { embed_tokens: [58, 3], lm_head: [40, 0] } }],
  ["rows of tokens that a tied head does not follow", "tied", { trainable_token_indices: { embed_tokens: [58, 3], lm_head: [40] } }],
];

describe.each(kinds)("an adapter on %s", (_, kind, config) => {
  let base: Base;
  let one: WeightedAdapter;
  let plain: Float32Array;
  beforeAll(async () => {
    base = bases[kind];
    one = { ...(await randomAdapter(base, config)), weight: 1 };
    plain = await baseLogits(base);
  });

  it.each([1, -1.5])("says the same beside the base and folded in, at weight %d", async (weight) => {
    const adapters = [{ ...one, weight }];
    const logits = await beside(base, adapters);
    expect(largestDifference(logits, plain)).toBeGreaterThan(0.1);
    expect(largestDifference(logits, await folded(base, adapters))).toBeLessThan(1e-4);
  });

  it("is the base at weight 0", async () => {
    const adapters = [{ ...one, weight: 0 }];
    expect(await beside(base, adapters)).toEqual(plain);
    expect(await folded(base, adapters)).toEqual(plain);
  });

  it("is taken away by its own negative", async () => {
    const adapters = [one, { ...one, weight: -1 }];
    expect(largestDifference(await beside(base, adapters), plain)).toBeLessThan(1e-4);
    expect(largestDifference(await folded(base, adapters), plain)).toBeLessThan(1e-4);
  });
});

it("a tied head does not follow an embedding that an adapter trains whole", async () => {
  const base = bases.tied;
  const stored = await randomAdapter(base, { target_modules: ["q_proj"], modules_to_save: ["embed_tokens"] });
  const slot = stored.adapter.layout.slots.find(({ name }) => name === "model.embed_tokens.weight")!;
  const parameters = new Float32Array(stored.adapter.layout.size);
  viewOf(parameters, slot).set(await storedValues(base, slot.name));
  const unseen = 5;
  viewOf(parameters, slot).fill(9, unseen * base.model.hiddenSize, (unseen + 1) * base.model.hiddenSize);
  const adapters = [{ ...stored, parameters, weight: 1 }];
  const plain = await baseLogits(base);
  expect(await beside(base, adapters)).toEqual(plain);
  expect(await folded(base, adapters)).toEqual(plain);
});

describe("several adapters", () => {
  const mixed = async (base: Base, weights: readonly number[]): Promise<WeightedAdapter[]> => {
    const configs: LoraOptions[] = [
      { target_modules: ["q_proj", "down_proj"], modules_to_save: ["lm_head", "model.norm"] },
      { r: 2, target_modules: ["q_proj", "v_proj"], modules_to_save: ["model.norm"] },
      { target_modules: ["lm_head", "v_proj"], use_rslora: true },
    ];
    return Promise.all(weights.map(async (weight, index) => ({ ...(await randomAdapter(base, configs[index], index)), weight })));
  };

  it("of different shapes say the same beside the base and folded in, whatever their weights and order", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: -1.5, max: 1.5, noNaN: true }), { minLength: 3, maxLength: 3 }),
        fc.constantFrom("tied" as const, "untied" as const),
        async (weights, kind) => {
          const adapters = await mixed(bases[kind], weights);
          const logits = await beside(bases[kind], adapters);
          expect(largestDifference(logits, await folded(bases[kind], adapters))).toBeLessThan(1e-4);
          expect(largestDifference(logits, await beside(bases[kind], adapters.toReversed()))).toBeLessThan(1e-4);
        },
      ),
      { numRuns: 8, seed: 5 },
    );
  });

  it("add up: weights of one adapter in two parts are their sum", async () => {
    const one = { ...(await randomAdapter(bases.tied, { modules_to_save: ["lm_head", "model.norm"] })), weight: 0.75 };
    const parts = [
      { ...one, weight: 1.25 },
      { ...one, weight: -0.5 },
    ];
    expect(largestDifference(await beside(bases.tied, parts), await beside(bases.tied, [one]))).toBeLessThan(1e-4);
  });

  it("that train one tensor whole are both in it", async () => {
    const base = bases.untied;
    const { adapter } = await randomAdapter(base, { target_modules: ["q_proj"], modules_to_save: ["lm_head"] });
    const slot = adapter.layout.slots.find(({ name }) => name === "lm_head.weight")!;
    const whole = (value: number): WeightedAdapter => {
      const parameters = new Float32Array(adapter.layout.size);
      parameters.fill(value, slot.offset, slot.offset + slot.size);
      return { adapter, parameters, frozen: new Float32Array(), weight: 0.5 };
    };
    // W + ½(1 − W) + ½(3 − W) = 2: every logit is twice the sum of the hidden state.
    const logits = await beside(base, [whole(1), whole(3)]);
    const reference = await beside(base, [{ ...whole(1), weight: 1 }]);
    logits.forEach((value, index) => expect(value).toBeCloseTo(2 * reference[index], 4));
  });
});

describe("what stays with the backend", () => {
  it("is one tensor per factor beside the base, one per changed tensor folded in, and nothing after disposal", async () => {
    const base = bases.tied;
    const adapter = planAdapter(base.model, loraConfig({ target_modules: ["q_proj", "lm_head"], modules_to_save: ["model.norm"] }));
    const stored = { adapter, parameters: new Float32Array(adapter.layout.size), frozen: new Float32Array(), weight: 1 };
    const before = backend.held();
    for (const [prepare, count] of [
      [adaptedInference, 2 * (2 * 3) + 1],
      [mergedInference, 3 + 1],
    ] as const) {
      const inference = await prepare(backend, base, [stored, stored]);
      expect(backend.held().residents - before.residents).toBe(count);
      await inference.dispose();
      expect(backend.held()).toEqual(before);
    }
  });

  it("is freed where an upload fails", async () => {
    const stored = { ...(await randomAdapter(bases.tied)), weight: 1 };
    const counting = countingBackend(backend);
    let left = 5;
    const failing = {
      ...counting,
      upload: (tensor: Parameters<typeof backend.upload>[0]) => (left-- > 0 ? counting.upload(tensor) : Promise.reject(new Error("full"))),
    };
    await expect(adaptedInference(failing, bases.tied, [stored])).rejects.toThrow("full");
    expect(counting.made().residents).toBe(5);
    expect(counting.held().residents).toBe(0);
  });
});

it("multiplies in 4 bits with all weights of one input at once, the base's and those with an adapter folded in", async () => {
  const base = await openBase(await tinyModel(small), { precision: "int4" });
  const folded = await mergedInference(backend, base, [{ ...(await randomAdapter(base)), weight: 1 }]);
  for (const inference of [baseInference(base), folded]) {
    const step = decodeProgram(inference, { B: 1, T: 1, P: 16 });
    expect(countOf(step, "int4-matmul")).toBe(4 * base.model.layers + 1);
  }
  await folded.dispose();
});
