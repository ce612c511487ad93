import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { randomAdapter, tinyModel } from "../../../test/tiny-model.ts";
import { input, program, type Tensor } from "../../graph/index.ts";
import { modelModules, openBase, storedTensors, storedValues, type Base } from "../../models/index.ts";
import { referenceBackend } from "../../runtime/index.ts";
import { f32, i32, random, type HostTensor } from "../../util/index.ts";
import { adaptedModules } from "../adapted-modules.ts";
import { planAdapter, valuesOf, type StoredAdapter } from "../adapter.ts";
import { startAdapter } from "../start.ts";
import { loraConfig, type LoraOptions } from "../config.ts";
import { mergeModule, unmergeModule, type ModuleTensors } from "../merge.ts";

const backend = referenceBackend();
const gpt2 = { model_type: "gpt2", n_embd: 16, n_head: 4, n_layer: 1, n_positions: 32, layer_norm_epsilon: 1e-5 };

let bases: Readonly<Record<"llama" | "gpt2", Base>>;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  const small = { vocab_size: 97, num_hidden_layers: 1 };
  bases = {
    llama: await openBase(await tinyModel({ ...small, attention_bias: true })),
    gpt2: await openBase(await tinyModel({ ...small, ...gpt2 })),
  };
});

// Modules with and without bias, whose weights lie either way, and an embedding.
const q = ["llama", "model.layers.0.self_attn.q_proj"] as const;
const down = ["llama", "model.layers.0.mlp.down_proj"] as const;
const turned = ["gpt2", "transformer.h.0.attn.c_attn"] as const;
const embedded = ["llama", "model.embed_tokens"] as const;
type Place = typeof q | typeof down | typeof turned | typeof embedded;

const cases: readonly (readonly [string, LoraOptions, Place])[] = [
  ["LoRA", {}, q],
  ["LoRA", {}, turned],
  ["LoRA", {}, embedded],
  ["rsLoRA", { use_rslora: true }, down],
  ["DoRA", { use_dora: true }, q],
  ["DoRA", { use_dora: true }, down],
  ["DoRA", { use_dora: true }, turned],
  ["DoRA", { use_dora: true }, embedded],
  ["LoRA with a bias", { lora_bias: true }, q],
  ["LoRA with a bias", { lora_bias: true }, turned],
  ["LoRA-FA", { freeze_A: true }, down],
  ["VeRA", { vera: {}, r: 5 }, q],
  ["VeRA", { vera: { projection_prng_key: 3, d_initial: 0.5 }, r: 40 }, turned],
  ["AdaLoRA", { adalora: {}, lora_alpha: 16 }, q],
  ["AdaLoRA", { adalora: {}, lora_alpha: 16 }, turned],
];

const differ = (a: Float32Array, b: Float32Array): number => Math.max(...a.map((value, index) => Math.abs(value - b[index])));
const relative = (a: Float32Array, b: Float32Array): number =>
  Math.sqrt(a.reduce((total, value, index) => total + (value - b[index]) ** 2, 0) / b.reduce((total, value) => total + value ** 2, 0));
const data = (tensor: HostTensor): Float32Array => tensor.data as Float32Array;
const run = async (outputs: Record<string, Tensor>, feeds: Record<string, HostTensor>): Promise<Record<string, HostTensor>> => {
  const graph = program(outputs);
  const used = Object.fromEntries(Object.entries(feeds).filter(([name]) => graph.inputs.has(name)));
  return (await (await backend.compile(graph)).run(used)) as Record<string, HostTensor>;
};

/** A module's own tensors in memory. */
const ownTensors = async (base: Base, module: string): Promise<ModuleTensors<HostTensor>> => {
  const read = async (name: string): Promise<HostTensor | undefined> => {
    const location = base.weights.get(name);
    return location && f32(await storedValues(base, name), location.shape);
  };
  const bias = await read(`${module}.bias`);
  return { weight: (await read(`${module}.weight`))!, ...(bias && { bias }) };
};

/** What a module makes of a fixed input, with adapters beside it. */
const beside = async (
  base: Base,
  module: string,
  adapters: readonly { stored: StoredAdapter; weight: number }[],
  given: Record<string, HostTensor> = {},
  dropout?: () => Tensor,
): Promise<Float32Array> => {
  const feeds: Record<string, HostTensor> = { ...inputs(base, module), ...given };
  const active = adapters.map(({ stored, weight }, index) => ({
    adapter: stored.adapter,
    weight,
    tensors: new Map(
      [...valuesOf(stored)].map(([name, value]) => {
        feeds[`${index}.${name}`] = value;
        return [name, input(`${index}.${name}`, value.shape)];
      }),
    ),
  }));
  const modules = adaptedModules({ model: base.model, find: storedTensors(base), active, ...(dropout && { dropout }) });
  const embedding = base.model.embeddings.some((spec) => spec.module === module);
  const x = embedding ? input("ids", [5], "i32") : input("x", feeds["x"].shape);
  return data((await run({ y: embedding ? modules.embedding(module, x) : modules.linear(module, x) }, feeds))["y"]);
};

const inputs = (base: Base, module: string): Record<string, HostTensor> => {
  const generator = random(9);
  const size = base.model.linears.find((spec) => spec.module === module)?.inFeatures ?? 1;
  return {
    ids: i32([3, 96, 0, 3, 50], [5]),
    x: f32(
      Float32Array.from({ length: 5 * size }, () => generator.normal()),
      [5, size],
    ),
  };
};

/** The same with the module's tensors replaced. */
const folded = async (base: Base, module: string, own: ModuleTensors<HostTensor>): Promise<Float32Array> => {
  const feeds: Record<string, HostTensor> = { ...inputs(base, module), W: own.weight, ...(own.bias && { b: own.bias }) };
  const find = (name: string): Tensor | undefined => {
    if (name === `${module}.weight`) return input("W", own.weight.shape);
    if (name === `${module}.bias`) return own.bias && input("b", own.bias.shape);
    return storedTensors(base)(name);
  };
  const modules = modelModules(base.model, find);
  const embedding = base.model.embeddings.some((spec) => spec.module === module);
  const x = embedding ? input("ids", [5], "i32") : input("x", feeds["x"].shape);
  return data((await run({ y: embedding ? modules.embedding(module, x) : modules.linear(module, x) }, feeds))["y"]);
};

describe("DoRA under dropout", () => {
  it("takes only its own share from what dropout leaves: h = xW + b + (m/‖V‖)∘(x′W + s·x′AB) − x′W", async () => {
    const [base, module] = [bases.llama, q[1]];
    const one = [{ stored: await randomAdapter(base, { use_dora: true, target_modules: [module] }), weight: 1 }];
    const { x } = inputs(base, module);
    const left = f32(
      (x.data as Float32Array).map((value, index) => (index % 3 === 0 ? 0 : 1.5 * value)),
      x.shape,
    );
    const result = await beside(base, module, one, { left }, () => input("left", x.shape));
    const [plain, leftAlone, leftAdapted] = [
      await beside(base, module, []),
      await beside(base, module, [], { x: left }),
      await beside(base, module, one, { x: left }),
    ];
    expect(differ(leftAdapted, leftAlone)).toBeGreaterThan(0.01);
    result.forEach((value, index) => expect(value).toBeCloseTo(plain[index] + leftAdapted[index] - leftAlone[index], 5));
  });
});

const weights = fc.array(fc.double({ min: -0.5, max: 1.5, noNaN: true }), { minLength: 1, maxLength: 2 });

describe.each(cases)("%s %j on %j", (_, config, [kind, module]) => {
  const adapter = (seed: number): Promise<StoredAdapter> => randomAdapter(bases[kind], { ...config, target_modules: [module] }, seed);

  it("starts at the base", async () => {
    const base = bases[kind];
    const planned = planAdapter(base.model, loraConfig({ ...config, target_modules: [module] }));
    const stored = await startAdapter(planned, base, 3);
    expect(differ(await beside(base, module, [{ stored, weight: 1 }]), await beside(base, module, []))).toBeLessThan(1e-6);
  });

  it("says the same beside the layer and folded in, and folds out again", async () => {
    const base = bases[kind];
    const own = await ownTensors(base, module);
    await fc.assert(
      fc.asyncProperty(weights, fc.nat(), async (strengths, seed) => {
        const adapters = await Promise.all(strengths.map(async (weight, index) => ({ stored: await adapter(seed + index), weight })));
        const flat = adapters.map(({ stored, weight }) => ({ ...stored, weight }));
        const merged = (await mergeModule(backend, module, own, flat))!;
        const both = { ...own, ...merged };
        expect(differ(await beside(base, module, adapters), await folded(base, module, both))).toBeLessThan(1e-5);
        const back = (await unmergeModule(backend, module, merged, flat))!;
        expect(relative(data(back.weight), data(own.weight))).toBeLessThan(1e-6);
        if (back.bias && own.bias) expect(relative(data(back.bias), data(own.bias))).toBeLessThan(1e-6);
      }),
      { numRuns: 8, seed: 11 },
    );
  });

  it("adds what is in proportion to its weight", async () => {
    const base = bases[kind];
    const stored = await adapter(4);
    const [none, one, half] = [
      await beside(base, module, []),
      await beside(base, module, [{ stored, weight: 1 }]),
      await beside(base, module, [{ stored, weight: -0.5 }]),
    ];
    expect(differ(one, none)).toBeGreaterThan(0.01);
    half.forEach((value, index) => expect(value).toBeCloseTo(none[index] - 0.5 * (one[index] - none[index]), 4));
  });
});
