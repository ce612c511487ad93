import { describe, expect, it } from "vitest";
import { sizeOf } from "../util/index.ts";
import { modelOf } from "./family.ts";

const small = {
  model_type: "llama",
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

const countOf = (config: Record<string, unknown>): number =>
  modelOf({ model_type: "llama", ...config }, "config.json").parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);

describe("parameters", () => {
  it("have the checkpoint's names, shapes and starting values, in the model's order", () => {
    const { parameters } = modelOf({ ...small, num_hidden_layers: 1, initializer_range: 0.1 }, "config.json");
    const normal = { normal: 0.1 };
    expect(parameters).toEqual([
      { name: "model.embed_tokens.weight", shape: [11, 8], start: normal },
      { name: "model.layers.0.input_layernorm.weight", shape: [8], start: "ones" },
      { name: "model.layers.0.self_attn.q_proj.weight", shape: [8, 8], start: normal },
      { name: "model.layers.0.self_attn.k_proj.weight", shape: [4, 8], start: normal },
      { name: "model.layers.0.self_attn.v_proj.weight", shape: [4, 8], start: normal },
      { name: "model.layers.0.self_attn.o_proj.weight", shape: [8, 8], start: normal },
      { name: "model.layers.0.mlp.gate_proj.weight", shape: [12, 8], start: normal },
      { name: "model.layers.0.mlp.up_proj.weight", shape: [12, 8], start: normal },
      { name: "model.layers.0.mlp.down_proj.weight", shape: [8, 12], start: normal },
      { name: "model.layers.0.post_attention_layernorm.weight", shape: [8], start: "ones" },
      { name: "model.norm.weight", shape: [8], start: "ones" },
      { name: "lm_head.weight", shape: [11, 8], start: normal },
    ]);
  });

  // The published sizes.
  it.each([
    {
      model: "SmolLM2-135M",
      count: 134_515_008,
      config: {
        vocab_size: 49152,
        hidden_size: 576,
        intermediate_size: 1536,
        num_hidden_layers: 30,
        num_attention_heads: 9,
        num_key_value_heads: 3,
        tie_word_embeddings: true,
      },
    },
    {
      model: "TinyLlama-1.1B",
      count: 1_100_048_384,
      config: {
        vocab_size: 32000,
        hidden_size: 2048,
        intermediate_size: 5632,
        num_hidden_layers: 22,
        num_attention_heads: 32,
        num_key_value_heads: 4,
      },
    },
    {
      model: "Llama-2-7B",
      count: 6_738_415_616,
      config: { vocab_size: 32000, hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32 },
    },
    {
      model: "Llama-3.2-1B",
      count: 1_235_814_400,
      config: {
        vocab_size: 128_256,
        hidden_size: 2048,
        intermediate_size: 8192,
        num_hidden_layers: 16,
        num_attention_heads: 32,
        num_key_value_heads: 8,
        head_dim: 64,
        tie_word_embeddings: true,
      },
    },
  ])("of $model are $count numbers", ({ config, count }) => {
    expect(countOf(config)).toBe(count);
  });

  it("leave out a tied head, which becomes another name of the embedding", () => {
    const tied = modelOf({ ...small, tie_word_embeddings: true }, "config.json");
    const untied = modelOf(small, "config.json");
    expect([tied.aliases, untied.aliases]).toEqual([{ "lm_head.weight": "model.embed_tokens.weight" }, {}]);
    expect(untied.parameters.length - tied.parameters.length).toBe(1);
    expect(tied.parameters.some(({ name }) => name === "lm_head.weight")).toBe(false);
    expect(tied.linears).toEqual(untied.linears);
  });

  it.each([
    { attention_bias: true, biased: ["q_proj", "k_proj", "v_proj", "o_proj"], sizes: [8, 4, 4, 8] },
    { mlp_bias: true, biased: ["gate_proj", "up_proj", "down_proj"], sizes: [12, 12, 8] },
  ])("have zeros as biases of $biased where the configuration says so", ({ biased, sizes, ...keys }) => {
    const { parameters, linears } = modelOf({ ...small, num_hidden_layers: 1, ...keys }, "config.json");
    const biases = parameters.filter(({ name }) => name.endsWith(".bias"));
    expect(biases.map(({ name, shape, start }) => [name.split(".").at(-2), shape, start])).toEqual(
      biased.map((name, index) => [name, [sizes[index]], "zeros"]),
    );
    expect(linears.filter(({ bias }) => bias).map(({ module }) => module.split(".").at(-1))).toEqual(biased);
  });
});

it("lists its linear modules layer by layer, the head last and marked", () => {
  const { linears, head } = modelOf(small, "config.json");
  expect(linears.map(({ module }) => module)).toEqual([
    ...[0, 1].flatMap((layer) =>
      ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"].map(
        (name) => `model.layers.${layer}.${name}`,
      ),
    ),
    "lm_head",
  ]);
  expect(linears.filter(({ isHead }) => isHead).map(({ module }) => module)).toEqual([head.linear]);
  const down = linears.find(({ module }) => module === "model.layers.1.mlp.down_proj")!;
  expect([down.inFeatures, down.outFeatures]).toEqual([12, 8]);
});

it("takes missing keys for what Llama 1 had", () => {
  const { maxPositions, cache, windows, parameters } = modelOf({ ...small, num_key_value_heads: undefined }, "config.json");
  expect({ maxPositions, cache, windows }).toEqual({ maxPositions: 2048, cache: { heads: 4, headSize: 2 }, windows: [Infinity] });
  expect(parameters[0].start).toEqual({ normal: 0.02 });
  expect(modelOf({ ...small, head_dim: 6 }, "config.json").cache).toEqual({ heads: 2, headSize: 6 });
});

describe("a configuration is refused by name", () => {
  it.each([
    { changes: { hidden_size: undefined }, message: 'config.json: "hidden_size" is missing.' },
    { changes: { num_hidden_layers: 0 }, message: '"num_hidden_layers" must be a whole number from 1, not 0.' },
    { changes: { vocab_size: "11" }, message: '"vocab_size" must be a whole number from 1, not "11".' },
    { changes: { rms_norm_eps: "1e-5" }, message: '"rms_norm_eps" must be a finite number, not "1e-5".' },
    { changes: { attention_bias: 1 }, message: '"attention_bias" must be true or false, not 1.' },
    { changes: { num_attention_heads: 3, num_key_value_heads: 3 }, message: '"head_dim" must be a whole number from 1' },
    {
      changes: { num_attention_heads: 4, num_key_value_heads: 3 },
      message: "num_attention_heads 4 is no multiple of num_key_value_heads 3",
    },
    { changes: { model_type: undefined }, message: "config.json: The configuration does not say its model_type." },
    { changes: { model_type: "toString" }, message: 'The model family "toString" is not offered; known: ' },
  ])("$message", ({ changes, message }) => {
    expect(() => modelOf({ ...small, ...changes }, "config.json")).toThrow(message);
  });
});
