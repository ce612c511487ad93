import { describe, expect, it } from "vitest";
import { numbersOf } from "../../test/evaluate.ts";
import { input, program } from "../graph/index.ts";
import { causalMask, modulesOf, trainingAttention } from "../nn/index.ts";
import type { HostTensor } from "../util/index.ts";
import { modelOf } from "./family.ts";
import type { Model } from "./model.ts";

const small = {
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  max_position_embeddings: 32,
};

describe("configurations", () => {
  it.each([
    { model_type: "falcon", message: /"falcon" is not offered; known: bert, .*smollm3/ },
    { model_type: "llama", hidden_act: "relu6", message: /"hidden_act" is "relu6"; offered: silu/ },
    { model_type: "llama", num_key_value_heads: 3, message: /num_attention_heads 2 is no multiple of num_key_value_heads 3/ },
    { model_type: "llama", partial_rotary_factor: 0.5, message: /"partial_rotary_factor" is 0.5; offered: 1/ },
    { model_type: "llama", rope_scaling: { type: "ntk", factor: 2 }, message: /"ntk" is not offered/ },
    { model_type: "llama", rope_scaling: { type: "yarn", factor: "2" }, message: /"factor" must be a finite number/ },
    { model_type: "mistral", layer_types: ["full_attention"], message: /"layer_types" is .*; offered: null/ },
    { model_type: "mistral", sliding_window: "8", message: /"sliding_window" must be a whole number from 1/ },
    { model_type: "qwen2", layer_types: ["full_attention"], message: /"layer_types" must be a list of 2 kinds/ },
    { model_type: "qwen3", layer_types: ["full_attention", "linear_attention"], message: /"layer_types" has "linear_attention"/ },
    { model_type: "smollm3", no_rope_layers: [1], message: /"no_rope_layers" has 1 entries for 2 layers/ },
    {
      model_type: "smollm3",
      layer_types: ["sliding_attention", "full_attention"],
      message: /layers with a window and no "sliding_window"/,
    },
    { model_type: "qwen2", layer_types: ["sliding_attention", "full_attention"], message: /layers with a window and no "sliding_window"/ },
    { model_type: "gemma2", sliding_window: null, message: /layers with a window and no "sliding_window"/ },
    { model_type: "llama", quantization_config: { quant_method: "gptq" }, message: /quantised: "quantization_config" is .*gptq/ },
    { model_type: "gemma", hidden_act: "silu", message: /"hidden_act" is "silu"; offered: gelu, gelu_pytorch_tanh/ },
    { model_type: "gemma2", use_bidirectional_attention: true, message: /"use_bidirectional_attention" is true; offered: false/ },
    { model_type: "gemma3_text", use_bidirectional_attention: true, message: /"use_bidirectional_attention" is true; offered: false/ },
    { model_type: "gpt2", add_cross_attention: true, message: /"add_cross_attention" is true; offered: false/ },
    { model_type: "gpt2", n_embd: 10, n_head: 4, message: /n_embd 10 is no multiple of n_head 4/ },
    { model_type: "gpt2", activation_function: "mish", message: /"activation_function" is "mish"; offered: silu/ },
    { model_type: "mixtral", router_jitter_noise: 0.1, message: /"router_jitter_noise" is 0.1; offered: 0/ },
    { model_type: "mixtral", num_experts_per_tok: 9, message: /num_experts_per_tok 9 is more than the 8 experts/ },
    { model_type: "qwen3_moe", num_experts: 4, message: /num_experts_per_tok 8 is more than the 4 experts/ },
    { model_type: "phi3", rope_scaling: { type: "su" }, message: /"short_factor" must be a list of 2 numbers/ },
  ])("$model_type: $message", ({ message, ...changes }) => {
    expect(() => modelOf({ ...small, ...changes }, "config.json")).toThrow(message);
  });

  it("take a missing window for the first release's, and null for none", () => {
    expect(modelOf({ ...small, model_type: "mistral" }, "config.json").windows).toEqual([4096]);
    expect(modelOf({ ...small, model_type: "mistral", sliding_window: null }, "config.json").windows).toEqual([Infinity]);
  });

  it("take null for as many key and value heads as heads, where the family has fewer by default", () => {
    const { num_key_value_heads: _, ...rest } = small;
    const shape = (more: object) => modelOf({ ...rest, model_type: "mistral", num_attention_heads: 8, ...more }, "config.json").cache.heads;
    expect([shape({ num_key_value_heads: null }), shape({})]).toEqual([8, 8]);
    expect(() => modelOf({ ...rest, model_type: "qwen2" }, "config.json")).toThrow("no multiple of num_key_value_heads 32");
    expect(modelOf({ ...rest, model_type: "qwen2", num_key_value_heads: null }, "config.json").cache.heads).toBe(2);
  });

  it.each([
    [3, 3],
    [-1, 10],
    [11, undefined],
    [null, undefined],
  ])("take pad_token_id %j for the row %j that is not trained where it is read", (pad_token_id, row) => {
    expect(modelOf({ ...small, model_type: "llama", pad_token_id }, "config.json").embeddings[0].padding).toBe(row);
  });

  it("have no window where null switches it off", () => {
    const sliding = { ...small, model_type: "qwen3", use_sliding_window: true, max_window_layers: 0 };
    expect(modelOf({ ...sliding, sliding_window: null }, "config.json").windows).toEqual([Infinity]);
    expect(modelOf({ ...sliding, sliding_window: 4 }, "config.json").windows).toEqual([4]);
    expect(modelOf(sliding, "config.json").windows).toEqual([4096]);
  });

  it("alternate windows where the family does", () => {
    expect(modelOf({ ...small, model_type: "gemma2", sliding_window: 8 }, "config.json").windows).toEqual([8, Infinity]);
    expect(modelOf({ ...small, num_hidden_layers: 6, model_type: "gemma3_text", sliding_window: 8 }, "config.json").windows).toEqual([
      8,
      Infinity,
    ]);
    expect(
      modelOf({ ...small, model_type: "qwen2", use_sliding_window: true, max_window_layers: 1, sliding_window: 4 }, "config.json").windows,
    ).toEqual([Infinity, 4]);
  });

  it("have experts in the layers that say so, and one gated block in the others", () => {
    const routedLayers = (changes: object): boolean[] => {
      const model = modelOf({ ...small, num_hidden_layers: 4, num_experts: 8, model_type: "qwen3_moe", ...changes }, "config.json");
      return [0, 1, 2, 3].map((layer) => model.parameters.some(({ name }) => name === `model.layers.${layer}.mlp.gate.weight`));
    };
    expect(routedLayers({})).toEqual([true, true, true, true]);
    expect(routedLayers({ decoder_sparse_step: 2 })).toEqual([false, true, false, true]);
    expect(routedLayers({ mlp_only_layers: [0, 3] })).toEqual([false, true, true, false]);
    expect(routedLayers({ num_experts: 0 })).toEqual([false, false, false, false]);
    const { linears } = modelOf({ ...small, num_experts: 8, mlp_only_layers: [1], model_type: "qwen3_moe" }, "config.json");
    expect(linears.filter(({ module }) => module.includes(".mlp.")).map(({ module }) => module)).toEqual(
      ["gate", "up", "down"].map((name) => `model.layers.1.mlp.${name}_proj`),
    );
  });

  it("ask that experts be used alike where the configuration says so and the head predicts tokens", () => {
    const balance = (changes: object): unknown => modelOf({ ...small, num_experts_per_tok: 2, ...changes }, "config.json").balance;
    for (const model_type of ["mixtral", "qwen3_moe"]) {
      expect(balance({ model_type })).toBeUndefined();
      expect(balance({ model_type, output_router_logits: true })).toEqual({ coefficient: 0.001, perToken: 2 });
      expect(balance({ model_type, output_router_logits: true, router_aux_loss_coef: 0.5 })).toEqual({ coefficient: 0.5, perToken: 2 });
      expect(balance({ model_type, output_router_logits: true, architectures: ["XForSequenceClassification"] })).toBeUndefined();
    }
    expect(balance({ model_type: "qwen3_moe", output_router_logits: true, num_experts: 0 })).toBeUndefined();
  });

  it("refuse settings by kind of layer where all layers share one rotary embedding", () => {
    const nested = { full_attention: { rope_theta: 1 }, sliding_attention: { rope_theta: 2 } };
    expect(() => modelOf({ ...small, model_type: "llama", rope_parameters: nested }, "config.json")).toThrow(/differs by kind of layer/);
  });
});

describe("what a cast of the whole module rounds", () => {
  /** The scalar factors of a forward pass. */
  const factorsOf = (model: Model): number[] => {
    const shapes = new Map(model.parameters.map(({ name, shape }) => [name, input(name, shape)]));
    const attention = trainingAttention({
      positions: input("positions", [1, 4], "i64"),
      maxPositions: 4,
      mask: causalMask(input("segments", [1, 4], "i32")),
      block: 4,
    });
    const modules = modulesOf({ find: (name) => shapes.get(name) });
    const hidden = model.forward(modules, { ids: input("ids", [1, 4], "i32"), attention, recompute: false });
    return program({ hidden }).order.flatMap(({ op, shape, attributes }) =>
      op.name === "constant" && shape.length === 0 ? numbersOf(attributes as HostTensor) : [],
    );
  };
  const modelWith = (model_type: string, more: object): Model =>
    modelOf({ ...small, hidden_size: 48, head_dim: 8, num_hidden_layers: 1, model_type, ...more }, "config.json");

  it.each(["gemma", "gemma2", "gemma3_text"])("is the factor on embeddings in %s, where PyTorch keeps it beside the parameters", (type) => {
    const model = modelWith(type, {});
    expect(factorsOf(model)).toContain(Math.fround(Math.sqrt(48)));
    expect(factorsOf(model.withRoundedBuffers!("bf16"))).toContain(6.9375);
    expect(factorsOf(model.withRoundedBuffers!("f16"))).toContain(6.9296875);
  });

  it("is not the one of granite, which is a number of the program", () => {
    const model = modelWith("granite", { embedding_multiplier: 6.93 });
    expect(factorsOf(model.withRoundedBuffers!("bf16"))).toContain(Math.fround(6.93));
  });

  it("is nothing in GPT-2", () => {
    expect(modelOf({ model_type: "gpt2", n_embd: 8, n_head: 2 }, "config.json").withRoundedBuffers).toBeUndefined();
  });
});
