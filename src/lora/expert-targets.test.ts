import { describe, expect, it } from "vitest";
import { modelOf } from "../models/index.ts";
import { planAdapter } from "./adapter.ts";
import { loraConfig, type LoraConfig } from "./config.ts";
import { withExpertParameters } from "./expert-targets.ts";

const small = {
  vocab_size: 11,
  hidden_size: 8,
  intermediate_size: 12,
  moe_intermediate_size: 6,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  num_experts: 3,
  num_local_experts: 3,
  num_experts_per_tok: 2,
};
const mixtral = modelOf({ ...small, model_type: "mixtral" }, "config.json");
const qwen = modelOf({ ...small, model_type: "qwen3_moe", mlp_only_layers: [1] }, "config.json");
const llama = modelOf({ ...small, model_type: "llama" }, "config.json");

const of = (model: typeof mixtral, given: Partial<LoraConfig>) => {
  const { target_modules, target_parameters, rank_pattern, alpha_pattern } = withExpertParameters(
    model,
    loraConfig({ r: 4, lora_alpha: 6, ...given }),
  );
  return { target_modules, target_parameters, rank_pattern, alpha_pattern };
};

const attention = ["q_proj", "k_proj", "v_proj", "o_proj"];
const doubled = { rank_pattern: { ".*\\.gate_up_proj": 8 }, alpha_pattern: { ".*\\.gate_up_proj": 12 } };
const none = { rank_pattern: {}, alpha_pattern: {} };

describe("targets of models with experts", () => {
  // As PEFT 0.21 writes them.
  it("become parameters, with a rank for each projection that a parameter joins", () => {
    expect(of(mixtral, { target_modules: ["q_proj", "w1", "w2", "w3"] })).toEqual({
      target_modules: ["q_proj"],
      target_parameters: ["gate_up_proj", "down_proj"],
      ...doubled,
    });
    expect(of(mixtral, { target_modules: ["q_proj", "w2", "gate"] })).toEqual({
      target_modules: ["q_proj"],
      target_parameters: ["gate.weight", "down_proj"],
      ...none,
    });
    expect(of(mixtral, { target_modules: "all-linear" })).toEqual({
      target_modules: attention,
      target_parameters: ["gate.weight", "gate_up_proj", "down_proj"],
      ...doubled,
    });
  });

  it("stay modules in the layers where they are modules", () => {
    expect(of(qwen, { target_modules: ["down_proj"] })).toEqual({
      target_modules: ["down_proj"],
      target_parameters: ["down_proj"],
      ...none,
    });
    expect(of(qwen, { target_modules: ["model.layers.1.mlp.down_proj"] })).toEqual({
      target_modules: ["model.layers.1.mlp.down_proj"],
      target_parameters: [],
      ...none,
    });
    const { targets } = planAdapter(qwen, loraConfig({ target_modules: ["down_proj"] }));
    expect([...targets.keys()]).toEqual([
      "model.layers.1.mlp.down_proj",
      ...[0, 1, 2].map((expert) => `model.layers.0.mlp.experts.down_proj.${expert}`),
    ]);
  });

  it("stay what they are where they are parameters already, and in models without experts", () => {
    const given = { target_modules: ["q_proj"], target_parameters: ["mlp.experts.down_proj"], rank_pattern: { down_proj: 2 } };
    expect(of(mixtral, given)).toEqual({ ...given, alpha_pattern: {} });
    expect(of(llama, { target_modules: ["gate_proj"] })).toEqual({ target_modules: ["gate_proj"], target_parameters: null, ...none });
    expect(of(mixtral, { target_modules: ".*q_proj" })).toEqual({ target_modules: ".*q_proj", target_parameters: null, ...none });
  });

  it("are refused where one of two joined projections is missing", () => {
    expect(() => of(mixtral, { target_modules: ["w1"] })).toThrow("w1 and w3 are adapted together. Add w3.");
  });

  it("get an update for each expert, of the whole parameter's width", () => {
    const { targets, shares } = planAdapter(
      mixtral,
      loraConfig({ r: 4, lora_alpha: 6, target_modules: [], target_parameters: ["gate_up_proj"] }),
    );
    expect([...targets.values()].map(({ inFeatures, outFeatures, rank }) => [inFeatures, outFeatures, rank])).toEqual(
      Array.from({ length: 6 }, () => [8, 24, 4]),
    );
    const block = "model.layers.0.block_sparse_moe.experts";
    expect([...shares.keys()].slice(0, 4)).toEqual([`${block}.0.w1`, `${block}.0.w3`, `${block}.1.w1`, `${block}.1.w3`]);
    expect(shares.get(`${block}.1.w3`)!.target).toMatchObject({ module: "model.layers.0.mlp.experts.gate_up_proj.1", outFeatures: 12 });
  });

  it.each<[Partial<LoraConfig>, string]>([
    [{ lora_dropout: 0.1 }, '"lora_dropout" is 0.1 where experts are adapted'],
    [{ use_dora: true }, "DoRA does not adapt the expert model.layers.0.mlp.experts.down_proj.0"],
    [{ init_lora_weights: "pissa" }, '"init_lora_weights": "pissa" is not offered for experts'],
  ])("are refused with %j", (given, message) => {
    expect(() => planAdapter(mixtral, loraConfig({ target_modules: [], target_parameters: ["down_proj"], ...given }))).toThrow(message);
  });
});
