import { cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend } from "../../test/counting-backend.ts";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { tinyModel } from "../../test/tiny-model.ts";
import { readJsonObject, readPeftAdapter, writeFileAtomically, writePeftAdapter } from "../formats/index.ts";
import { openBase, storedValues, type Base } from "../models/index.ts";
import { precisions, type PrecisionName } from "../nn/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { f32, random, type HostTensor } from "../util/index.ts";
import { planAdapter, valuesOf, type StoredAdapter } from "./adapter.ts";
import { columnsOf, dots, rowsOf } from "./algebra/vectors.ts";
import { loraConfig, type InitName, type LoraConfig } from "./config.ts";
import type { Calibration } from "./init/calibration.ts";
import { loadedOn, startAdapter } from "./start.ts";
import { loadAdapter, saveAdapter } from "./store.ts";

const backend = countingBackend(ortBackend({ threads: 1 }));
const targets = ["q_proj", "down_proj"];
const ids = [5, 17, 40, 3];

let folder: string;
let base: Base;
let model: string;
let turned: Base;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  folder = await mkdtemp(join(tmpdir(), "lowrank-start-"));
  model = await tinyModel({ vocab_size: 97 });
  base = await openBase(model);
  turned = await openBase(
    await tinyModel({
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      n_embd: 16,
      n_layer: 1,
      n_head: 2,
      n_positions: 32,
      vocab_size: 97,
    } as never),
  );
});
afterAll(() => {
  expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  return backend.dispose();
});

/** Inputs that vary in the first directions most, more of them in the layers' down projections, and gradients of noise. */
const calibration: Calibration = {
  inputs: async function* (asked) {
    for (const { inFeatures, module } of asked) {
      const second = new Float32Array(inFeatures ** 2);
      for (let index = 0; index < inFeatures; index++)
        second[index * (inFeatures + 1)] = 100 * (module.endsWith("down_proj") ? 1 - index / 100 : 0.3 ** index);
      yield { second, sum: new Float32Array(inFeatures), rows: 100, batches: 2 };
    }
  },
  gradients: async function* (asked) {
    for (const { inFeatures, outFeatures, turned, module } of asked) {
      const generator = random(module.length);
      const data = Float32Array.from({ length: inFeatures * outFeatures }, () => generator.normal());
      yield f32(data, turned ? [inFeatures, outFeatures] : [outFeatures, inFeatures]);
    }
  },
};

const start = (init: InitName, on: Base, config: Partial<LoraConfig> = {}, seed = 1): Promise<StoredAdapter> =>
  startAdapter(
    planAdapter(on.model, loraConfig({ r: 4, lora_alpha: 12, target_modules: targets, init_lora_weights: init, ...config })),
    on,
    seed,
    { backend, calibration },
  );

const namedStarts: InitName[] = [true, "gaussian", "orthogonal", "pissa", "pissa_niter_4", "olora", "eva", "corda", "lora_ga"];

describe.each(namedStarts)("an adapter that starts with %s", (init) => {
  it("changes nothing, and could change something", async () => {
    const stored = await start(init, base);
    const [before, after] = [await logitsAfter(backend, base, ids), await logitsAfter(backend, base, ids, [{ ...stored, weight: 1 }])];
    expect(largestDifference(after, before)).toBeLessThan(2e-5);
    expect(stored.parameters.some((value) => value !== 0)).toBe(true);
    const moved = { ...stored, parameters: stored.parameters.map((value, index) => value + 0.05 * Math.sin(index)) };
    expect(largestDifference(await logitsAfter(backend, base, ids, [{ ...moved, weight: 1 }]), before)).toBeGreaterThan(0.01);
  });

  it("is the same for the same seed", async () =>
    expect((await start(init, base)).parameters).toEqual((await start(init, base)).parameters));

  it("is a plain one in its files, with the same logits as in training", async () => {
    const stored = await start(init, base);
    const moved = { ...stored, parameters: stored.parameters.map((value, index) => value + 0.05 * Math.sin(index)) };
    const directory = join(folder, String(init));
    await saveAdapter(directory, base.model, moved, base.digest);
    const { config, metadata } = await readPeftAdapter(directory);
    const shown = new Set<InitName>([true, "gaussian", "orthogonal"]).has(init);
    const { init_lora_weights: said } = config;
    expect({ said, kept: metadata["lowrank.start"] }).toEqual(shown ? { said: init, kept: undefined } : { said: true, kept: init });
    const loaded = await loadAdapter(directory, base.model, { baseDigest: base.digest });
    const logits = await Promise.all([moved, loaded].map((each) => logitsAfter(backend, base, ids, [{ ...each, weight: 1 }])));
    expect(largestDifference(logits[0], logits[1])).toBeLessThan(2e-5);
  });
});

describe("starts of turned weights", () => {
  it.each<InitName>(["pissa", "olora", "corda", "lora_ga"])("change nothing: %s", async (init) => {
    const stored = await start(init, turned, { target_modules: ["c_attn", "mlp.c_proj"] });
    const [before, after] = [await logitsAfter(backend, turned, ids), await logitsAfter(backend, turned, ids, [{ ...stored, weight: 1 }])];
    expect(largestDifference(after, before)).toBeLessThan(2e-5);
  });
});

describe("shared ranks", () => {
  it("are planned, and keep the scaling", async () => {
    const stored = await start("eva", base);
    // Of the queries' directions three explain more than a 24th of the inputs' variance, which each of the projections' does.
    const ranks = [...stored.adapter.targets.values()].map(({ rank, scaling }) => [rank, scaling]);
    expect(ranks).toEqual([
      [3, 3],
      [5, 3],
      [3, 3],
      [5, 3],
    ]);
    const { config } = stored.adapter;
    expect([Object.values(config.rank_pattern), Object.values(config.alpha_pattern)]).toEqual([
      [3, 5, 3, 5],
      [9, 15, 9, 15],
    ]);
  });

  it("may be left as they are, or change the scaling instead", async () => {
    const even = await start("eva", base, { eva_config: { rho: 1 } });
    expect([even.adapter.config.rank_pattern, even.adapter.config.alpha_pattern]).toEqual([{}, {}]);
    const { adapter } = await start("eva", base, { eva_config: { adjust_scaling_factors: false } });
    expect([...adapter.targets.values()].map(({ scaling }) => scaling)).toEqual([4, 2.4, 4, 2.4]);
  });
});

describe("LoftQ", () => {
  const productOf = (stored: StoredAdapter, module: string): Float64Array[] => {
    const values = valuesOf(stored);
    const { inFeatures, outFeatures, rank, scaling } = stored.adapter.targets.get(module)!;
    const part = (name: string): Float32Array => values.get(`${module}.${name}`)!.data as Float32Array;
    const product = dots(columnsOf(part("lora_B"), rank, outFeatures), rowsOf(part("lora_A"), inFeatures, rank));
    return product.map((row) => row.map((value) => scaling * value));
  };

  it.each(Object.keys(precisions) as PrecisionName[])("makes up for as much of the rounding to %s as its rank can", async (precision) => {
    const rounded = await openBase(model, { precision });
    const module = "model.layers.0.self_attn.q_proj";
    const W = await storedValues(base, `${module}.weight`);
    const rows = rowsOf(W, 16, 16);
    const { round, restore } = precisions[precision];
    const q = rowsOf(restore(round(W, 16, 16), 16, 16), 16, 16);
    const left = (product: Float64Array[]): number =>
      Math.hypot(...rows.flatMap((row, o) => [...row].map((value, i) => value - q[o][i] - product[o][i])));
    const errors: number[] = [left(rows.map((row) => new Float64Array(row.length)))];
    for (const r of [1, 4, 16]) errors.push(left(productOf(await start("loftq", rounded, { r }), module)));
    expect(errors).toEqual([...errors].sort((a, b) => b - a));
    expect(errors[3] / errors[0]).toBeLessThan(1e-4);
  });

  it("has nothing to do with a head that its base does not round", async () =>
    expect(start("loftq", await openBase(model, { precision: "nf4" }), { target_modules: ["lm_head"] })).rejects.toThrow(
      "This start makes up for the rounding of weights, and nf4 does not round this one.",
    ));

  it("has nothing to do beside a base that is not rounded", () =>
    expect(start("loftq", base)).rejects.toThrow("This start makes up for the rounding of the base, and this base is not rounded."));
});

it("asks for data by name where there are none", async () => {
  for (const init of ["eva", "corda", "lora_ga"] as const) {
    const planned = planAdapter(base.model, loraConfig({ target_modules: targets, init_lora_weights: init }));
    await expect(startAdapter(planned, base, 0, { backend })).rejects.toMatchObject({
      code: "invalid-argument",
      message: expect.stringContaining("This start is made from data, and there are none.") as string,
    });
  }
});

describe("an adapter that was saved as it was trained", () => {
  /** Writes what PEFT does: A and B, and the start's name. */
  const raw = async (init: InitName, on: Base, modules: string[]): Promise<{ directory: string; stored: StoredAdapter }> => {
    const stored = await start(init, on, { target_modules: modules, lora_alpha: 4 });
    const moved = { ...stored, parameters: stored.parameters.map((value, index) => value + 0.05 * Math.sin(index)) };
    const directory = await mkdtemp(join(folder, "raw-"));
    const tensors = new Map<string, HostTensor>([...valuesOf(moved)].filter(([name]) => /lora_[AB]$/.test(name)));
    await writePeftAdapter(directory, {
      config: { peft_type: "LORA", r: 4, lora_alpha: 4, target_modules: modules, init_lora_weights: init },
      tensors,
      metadata: {},
    });
    return { directory, stored: moved };
  };

  it.each<InitName>(["pissa", "olora"])("gets back what its start took from the base: %s", async (init) => {
    const { directory, stored } = await raw(init, base, targets);
    const loaded = await loadAdapter(directory, base.model, loadedOn(base, backend));
    const logits = await Promise.all([stored, loaded].map((each) => logitsAfter(backend, base, ids, [{ ...each, weight: 1 }])));
    expect(largestDifference(logits[0], logits[1])).toBeLessThan(1e-6);
    // Written again it is plain.
    await saveAdapter(directory, base.model, loaded, base.digest);
    const plain = await loadAdapter(directory, base.model, { baseDigest: base.digest });
    expect(largestDifference(await logitsAfter(backend, base, ids, [{ ...plain, weight: 1 }]), logits[0])).toBeLessThan(1e-5);
  });

  it.each<[InitName, "base" | "turned", string]>([
    ["pissa_niter_4", "base", '"init_lora_weights": "pissa_niter_4"'],
    ["corda", "base", "the base alone does not tell how it changed model.layers.0.self_attn.q_proj"],
    ["lora_ga", "base", "path_initial_model_for_weight_conversion"],
    ["olora", "turned", "how it changed transformer.h.0.mlp.c_proj"],
  ])("is refused where the base does not tell: %s on the %s", async (init, which, message) => {
    const on = { base, turned }[which];
    const { directory } = await raw(init, on, which === "base" ? targets : ["mlp.c_proj"]);
    const error = await loadAdapter(directory, on.model, loadedOn(on, backend)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "unsupported", where: directory, message: expect.stringContaining(message) as string });
  });

  it("is refused where there is no base to ask", async () => {
    const { directory } = await raw("pissa", base, targets);
    await expect(loadAdapter(directory, base.model, { baseDigest: base.digest })).rejects.toThrow(
      "beside a changed base, which is not at hand",
    );
  });

  it.each([
    ["loftq", "The adapter belongs to a base that PEFT rounds when it loads it"],
    ["mica", undefined],
  ])("by another start: %s", async (init, message) => {
    const { directory } = await raw("gaussian", base, targets);
    const copy = `${directory}-${init}`;
    await cp(directory, copy, { recursive: true });
    const path = join(copy, "adapter_config.json");
    await writeFileAtomically(path, JSON.stringify({ ...(await readJsonObject(path)), init_lora_weights: init }));
    const loading = loadAdapter(copy, base.model, { baseDigest: base.digest });
    if (message === undefined) expect((await loading).adapter.config.init_lora_weights).toBe(true);
    else await expect(loading).rejects.toThrow(message);
  });
});

it("stays, frozen, beside what is trained, where it was taken from the base", async () => {
  const stored = await start("pissa", base);
  expect(stored.frozen).toEqual(stored.parameters);
  expect((await start("eva", base)).frozen).toHaveLength(0);
});
