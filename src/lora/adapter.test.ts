import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { tinyModel } from "../../test/tiny-model.ts";
import { broadcast, concat, input, program, reshape, type Tensor } from "../graph/index.ts";
import { openBase, storedTensors, storedValues, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { startAdapter } from "./start.ts";
import { f32, random, sizeOf, type HostTensor } from "../util/index.ts";
import { adaptedModules, slotTensors } from "./adapted-modules.ts";
import { planAdapter, type Adapter } from "./adapter.ts";
import { loraConfig, type LoraConfig } from "./config.ts";

let bases: Readonly<Record<"tied" | "biased", Base>>;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  const small = { vocab_size: 97, num_hidden_layers: 1 };
  bases = {
    tied: await openBase(await tinyModel(small)),
    biased: await openBase(await tinyModel({ ...small, attention_bias: true, mlp_bias: true, tie_word_embeddings: false })),
  };
});

const plan = (kind: keyof typeof bases, config: Partial<LoraConfig>): Adapter =>
  planAdapter(bases[kind].model, loraConfig({ r: 2, ...config }));
const layer = "model.layers.0";

describe("an adapter's plan", () => {
  it("gives each target an A (in, r) and a B (r, out), one behind the other", () => {
    expect(plan("tied", { target_modules: ["k_proj", "down_proj"], rank_pattern: { down_proj: 3 } }).layout).toEqual({
      slots: [
        { name: `${layer}.self_attn.k_proj.lora_A`, role: "lora_A", shape: [16, 2], offset: 0, size: 32 },
        { name: `${layer}.self_attn.k_proj.lora_B`, role: "lora_B", shape: [2, 8], offset: 32, size: 16 },
        { name: `${layer}.mlp.down_proj.lora_A`, role: "lora_A", shape: [24, 3], offset: 48, size: 72 },
        { name: `${layer}.mlp.down_proj.lora_B`, role: "lora_B", shape: [3, 16], offset: 120, size: 48 },
      ],
      size: 168,
    });
  });

  it.each<[string, keyof typeof bases, Partial<LoraConfig>, string[]]>([
    ["nothing by default", "biased", {}, []],
    ["a tied head, as a tensor of its own", "tied", { modules_to_save: ["lm_head"] }, ["lm_head.weight"]],
    [
      "a module and all that is in it",
      "biased",
      { modules_to_save: ["mlp"] },
      ["gate", "up", "down"].flatMap((name) => ["weight", "bias"].map((part) => `${layer}.mlp.${name}_proj.${part}`)),
    ],
    [
      "what ends in a name, as PEFT reads it",
      "tied",
      { modules_to_save: ["norm"] },
      [`${layer}.input_layernorm.weight`, `${layer}.post_attention_layernorm.weight`, "model.norm.weight"],
    ],
    ["norms by their whole name", "tied", { modules_to_save: ["model.norm"] }, ["model.norm.weight"]],
    ["biases of its targets", "biased", { bias: "lora_only" }, [`${layer}.self_attn.q_proj.bias`]],
    [
      "every bias",
      "biased",
      { bias: "all" },
      [
        ...["q", "k", "v", "o"].map((name) => `${layer}.self_attn.${name}_proj.bias`),
        ...["gate", "up", "down"].map((name) => `${layer}.mlp.${name}_proj.bias`),
      ],
    ],
    ["no bias where the model has none", "tied", { bias: "all" }, []],
  ])("trains whole %s", (_, kind, config, names) => {
    const { slots } = plan(kind, { target_modules: ["q_proj"], ...config }).layout;
    const whole = slots.filter(({ role }) => role === "weight" || role === "bias");
    expect(whole.map(({ name }) => name)).toEqual(names);
    expect(whole.every(({ name, role }) => name.endsWith(`.${role}`))).toBe(true);
    expect(whole.map(({ shape }) => sizeOf(shape))).toEqual(whole.map(({ size }) => size));
  });

  it("refuses to save a module that the model does not have", () => {
    expect(() => plan("tied", { modules_to_save: ["lm_head", "score"] })).toThrow(
      '"modules_to_save": "score" is no module of the model. Choose among model.embed_tokens, ',
    );
  });
});

describe("starting values", () => {
  const start = async (config: Partial<LoraConfig>, seed = 0): Promise<Float32Array> =>
    (await startAdapter(plan("biased", config), bases.biased, seed)).parameters;
  const view = (values: Float32Array, config: Partial<LoraConfig>, name: string): Float32Array =>
    viewOf(
      values,
      plan("biased", config).layout.slots.find((slot) => slot.name === name)!,
    );

  it("are a random A, a zero B, and the base's own tensors", async () => {
    const config: Partial<LoraConfig> = { target_modules: ["q_proj"], bias: "lora_only", modules_to_save: ["lm_head"] };
    const values = await start(config);
    const A = view(values, config, `${layer}.self_attn.q_proj.lora_A`);
    // Uniform within ±1/√in, as PyTorch starts a linear layer.
    expect(A.every((value) => value !== 0 && Math.abs(value) <= 0.25)).toBe(true);
    expect(view(values, config, `${layer}.self_attn.q_proj.lora_B`).every((value) => value === 0)).toBe(true);
    for (const name of ["lm_head.weight", `${layer}.self_attn.q_proj.bias`])
      expect(view(values, config, name)).toEqual(await storedValues(bases.biased, name));
  });

  it("of a target depend on the seed and its name alone", async () => {
    const [few, many] = [{ target_modules: ["v_proj"] }, { target_modules: "all-linear" }];
    const name = `${layer}.self_attn.v_proj.lora_A`;
    const one = view(await start(few), few, name);
    expect(view(await start(many), many, name)).toEqual(one);
    expect(await start(few)).toEqual(await start(few));
    expect(view(await start(few, 1), few, name)).not.toEqual(one);
    expect(view(await start(many), many, `${layer}.self_attn.k_proj.lora_A`)).not.toEqual(one);
  });
});

describe("modules with adapters beside them", () => {
  const x = input("x", [3, 16]);
  const hosts = (adapter: Adapter): Record<string, HostTensor> => {
    const generator = random(5);
    const draw = (shape: number[]): HostTensor =>
      f32(
        Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()),
        shape,
      );
    return { x: draw([3, 16]), parameters: draw([adapter.layout.size]) };
  };
  const modulesFor = (
    kind: keyof typeof bases,
    adapter: Adapter,
    weights: readonly number[],
    dropout?: Parameters<typeof adaptedModules>[0]["dropout"],
  ) => {
    const tensors = slotTensors(adapter.layout, input("parameters", [adapter.layout.size]));
    const find = storedTensors(bases[kind]);
    return adaptedModules({
      model: bases[kind].model,
      find,
      active: weights.map((weight) => ({ adapter, tensors, weight })),
      trainable: [...tensors.values()],
      ...(dropout && { dropout }),
    });
  };
  const run = async (graph: ReturnType<typeof program>, adapter: Adapter): Promise<Float32Array> => {
    const all = hosts(adapter);
    const feeds = Object.fromEntries(Object.entries(all).filter(([name]) => graph.inputs.has(name)));
    const { y } = await (await referenceBackend().compile(graph)).run(feeds);
    return (y as HostTensor).data as Float32Array;
  };

  it("leave modules alone that no adapter targets, and those that none acts on", async () => {
    const adapter = plan("biased", { target_modules: ["q_proj"] });
    const none = modulesFor("biased", adapter, []);
    const one = modulesFor("biased", adapter, [1]);
    const output = (modules: typeof none, name: string): Promise<Float32Array> =>
      run(program({ y: modules.linear(`${layer}.self_attn.${name}`, x) }), adapter);
    expect(await output(one, "k_proj")).toEqual(await output(none, "k_proj"));
    expect(await output(one, "q_proj")).not.toEqual(await output(none, "q_proj"));
  });

  it("add up by weight", async () => {
    const adapter = plan("tied", { target_modules: ["q_proj"], lora_alpha: 3 });
    const output = (weights: readonly number[]): Promise<Float32Array> =>
      run(program({ y: modulesFor("tied", adapter, weights).linear(`${layer}.self_attn.q_proj`, x) }), adapter);
    const [base, one, mixed] = [await output([]), await output([1]), await output([0.5, -2])];
    mixed.forEach((value, index) => expect(value).toBeCloseTo(base[index] - 1.5 * (one[index] - base[index]), 4));
  });

  it.each([
    [3, 6, { v_proj: 3 }, 0],
    [80, 5, { v_proj: 3 }, 2],
    [80, 5, {}, 0],
  ])("make the first products of %s rows together where that pays: %s products for two modules of ranks %o", async (...given) => {
    const [rows, products, rank_pattern, scalings] = given;
    const adapter = plan("tied", { target_modules: ["q_proj", "v_proj"], rank_pattern });
    const names = ["q_proj", "v_proj"].map((name) => `${layer}.self_attn.${name}`);
    const modules = modulesFor("tied", adapter, [0.5]);
    const many = reshape(broadcast(input("x", [1, 16]), [rows, 16]), [rows, 16]);
    const flat = (outputs: Tensor[]): Tensor => concat(outputs, 1);
    const graph = program({ y: flat(modules.linears(names, many)) });
    const count = (wanted: string) => graph.order.filter(({ op }) => op.name === wanted).length;
    expect([count("matmul"), count("multiply")]).toEqual([products, scalings]);
    const generator = random(3);
    const feeds = Object.fromEntries(
      [...graph.inputs].map(([name, { shape }]) => [
        name,
        f32(
          Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()),
          shape,
        ),
      ]),
    );
    const values = async (outputs: Tensor[]): Promise<Float32Array> => {
      const { y } = await (await referenceBackend().compile(program({ y: flat(outputs) }))).run(feeds);
      return (y as HostTensor).data as Float32Array;
    };
    const together = await values(modules.linears(names, many));
    const apart = await values(names.map((name) => modules.linear(name, many)));
    together.forEach((value, index) => expect(value).toBeCloseTo(apart[index], 4));
  });

  it("drop out what the adapter reads, never what the base reads", () => {
    const adapter = plan("tied", { target_modules: ["q_proj", "v_proj"] });
    const dropped: string[] = [];
    const modules = modulesFor("tied", adapter, [1], (module, value) => {
      dropped.push(module);
      return value;
    });
    for (const name of ["q_proj", "k_proj", "v_proj"]) modules.linear(`${layer}.self_attn.${name}`, x);
    expect(dropped).toEqual([`${layer}.self_attn.q_proj`, `${layer}.self_attn.v_proj`]);
  });

  it.each<[string, Partial<LoraConfig>, boolean]>([
    ["frozen", { target_modules: ["q_proj"] }, true],
    ["adapted", { target_modules: ["lm_head"] }, false],
    ["trained whole", { target_modules: ["q_proj"], modules_to_save: ["lm_head"] }, false],
    ["tied to an embedding that is trained whole", { target_modules: ["q_proj"], modules_to_save: ["embed_tokens"] }, true],
  ])("give the plain weight of a head only where it is frozen: %s", (_, config, isPlain) => {
    const frozen = modulesFor("tied", plan("tied", config), [1]).frozenLinear("lm_head");
    expect(frozen === undefined).toBe(!isPlain);
  });
});
