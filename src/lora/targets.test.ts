import { describe, expect, it } from "vitest";
import { modelOf, type Model } from "../models/index.ts";
import { planAdapter } from "./adapter.ts";
import { loraConfig, readLoraConfig, writeLoraConfig, type LoraConfig } from "./config.ts";
import { candidatesOf } from "./kinds/index.ts";
import { selectTargets, targetNames } from "./targets.ts";

const shape = {
  hidden_size: 64,
  intermediate_size: 112,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  vocab_size: 199,
};
const llama = (more: object = {}): Model => modelOf({ model_type: "llama", ...shape, ...more }, "config.json");

const select = (given: Partial<LoraConfig>, model = llama()): string[] =>
  selectTargets(candidatesOf(model), loraConfig(given)).map(
    ({ module, rank, scaling }) => `${module.replace("model.layers.", "")} r${rank} s${Number(scaling.toFixed(4))}`,
  );

describe("target selection follows PEFT", () => {
  it.each<[string, Partial<LoraConfig>, string[] | number]>([
    ["all-linear leaves the head out", { target_modules: "all-linear" }, 14],
    [
      "names match by their end, whole segments only",
      { target_modules: ["q_proj", "proj"] },
      ["0.self_attn.q_proj r8 s1", "1.self_attn.q_proj r8 s1"],
    ],
    [
      "a text is a regular expression over whole names",
      { target_modules: ".*\\.1\\.self_attn\\.(q|v)_proj" },
      ["1.self_attn.q_proj r8 s1", "1.self_attn.v_proj r8 s1"],
    ],
    [
      "a regular expression must match from end to end",
      { target_modules: ".*down_proj", exclude_modules: ".*\\.0\\..*" },
      ["1.mlp.down_proj r8 s1"],
    ],
    ["exclusion wins", { target_modules: ["q_proj"], exclude_modules: ["layers.0.self_attn.q_proj"] }, ["1.self_attn.q_proj r8 s1"]],
    ["layers are chosen by index", { target_modules: ["o_proj"], layers_to_transform: [1] }, ["1.self_attn.o_proj r8 s1"]],
    [
      "layers_pattern names the list",
      { target_modules: ["o_proj"], layers_to_transform: [0], layers_pattern: "layers" },
      ["0.self_attn.o_proj r8 s1"],
    ],
    [
      "the first pattern that matches gives the rank",
      { target_modules: ["down_proj"], rank_pattern: { "layers\\.1\\.mlp\\.down_proj": 6, down_proj: 2 } },
      ["0.mlp.down_proj r2 s4", "1.mlp.down_proj r6 s1.3333"],
    ],
    [
      "alpha patterns change the scaling alone",
      { target_modules: ["v_proj"], alpha_pattern: { v_proj: 3 }, layers_to_transform: [0] },
      ["0.self_attn.v_proj r8 s0.375"],
    ],
    [
      "rsLoRA divides by the root of the rank",
      { target_modules: ["q_proj"], layers_to_transform: [0], r: 4, use_rslora: true },
      ["0.self_attn.q_proj r4 s4"],
    ],
    ["the head can be named", { target_modules: ["lm_head"] }, ["lm_head r8 s1"]],
    [
      "what is saved whole is no target",
      { target_modules: ["lm_head", "q_proj"], modules_to_save: ["lm_head"], layers_to_transform: null },
      2,
    ],
  ])("%s", (_, config, expected) => {
    const selected = select(config);
    if (typeof expected === "number") expect(selected).toHaveLength(expected);
    else expect(selected).toEqual(expected);
  });

  it("names what could have been meant when nothing matches", () => {
    expect(() => select({ target_modules: ["query"] })).toThrow(
      '"target_modules": ["query"] matches no module. Choose among embed_tokens, q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head, or "all-linear".',
    );
  });

  it.each([
    [{ target_modules: "all-linear" as const }, ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]],
    [{ target_modules: ".*\\.1\\.self_attn\\.q_proj" }, ["model.layers.1.self_attn.q_proj"]],
  ])("writes %j as names that select the same", (given, expected) => {
    const config = loraConfig(given);
    const model = llama();
    expect(targetNames(candidatesOf(model), selectTargets(candidatesOf(model), config), config)).toEqual(expected);
  });
});

describe("planned parameters", () => {
  const count = (given: Partial<LoraConfig>, more: object = {}): number => planAdapter(llama(more), loraConfig(given)).layout.size;
  it.each<[string, Partial<LoraConfig>, object, number]>([
    // Σ r·(in + out) over q, k, v, o, gate, up, down, twice
    ["all linears at rank 8", { r: 8 }, {}, 2 * 8 * (128 + 96 + 96 + 128 + 176 + 176 + 176)],
    [
      "a head that is saved whole beside q and v",
      { r: 4, target_modules: ["q_proj", "v_proj"], modules_to_save: ["lm_head"] },
      { tie_word_embeddings: true },
      2 * 4 * (128 + 96) + 199 * 64,
    ],
    ["magnitudes of DoRA", { r: 2, target_modules: ["q_proj", "down_proj"], use_dora: true }, {}, 2 * (2 * (128 + 176) + 64 + 64)],
    ["biases on B", { r: 2, target_modules: ["k_proj"], lora_bias: true }, {}, 2 * (2 * 96 + 32)],
    ["an embedding", { r: 4, target_modules: ["embed_tokens"] }, {}, 4 * (199 + 64)],
    ["an embedding of DoRA", { r: 4, target_modules: ["embed_tokens"], use_dora: true }, {}, 4 * (199 + 64) + 64],
    ["biases of the targets", { r: 1, target_modules: ["q_proj"], bias: "lora_only" }, { attention_bias: true }, 2 * (128 + 64)],
    ["every bias", { r: 1, target_modules: ["q_proj"], bias: "all" }, { attention_bias: true }, 2 * (128 + 64 + 32 + 32 + 64)],
  ])("%s: the closed formula", (_, config, more, expected) => expect(count(config, more)).toBe(expected));

  it("names a module that cannot be saved", () =>
    expect(() => count({ modules_to_save: ["score"] })).toThrow('"modules_to_save": "score" is no module of the model.'));
});

describe("configuration", () => {
  it.each<[Partial<Record<keyof LoraConfig, unknown>>, string]>([
    [{ r: 0 }, '"r" is 0 where a positive integer is needed.'],
    [{ r: 2.5 }, '"r" is 2.5 where a positive integer is needed.'],
    [{ lora_alpha: -1 }, '"lora_alpha" is -1 where a positive number is needed.'],
    [{ lora_dropout: 1 }, '"lora_dropout" is 1 where a number from 0 to below 1 is needed.'],
    [{ target_modules: [1] }, '"target_modules" is [1] where names, a regular expression or "all-linear" is needed.'],
    [{ target_parameters: "gate" }, '"target_parameters" is "gate" where parameter names or null is needed.'],
    [{ rank_pattern: { q: 0 } }, '"rank_pattern" is {"q":0} where positive integers by module name is needed.'],
    [{ use_dora: 1 }, '"use_dora" is 1 where true or false is needed.'],
    [{ lora_bias: true, use_dora: true }, '"lora_bias" and "use_dora" exclude each other.'],
    [{ bias: "some" }, '"bias" is "some" where "none", "all" or "lora_only" is needed.'],
  ])("refuses %j", (given, message) => expect(() => loraConfig(given as Partial<LoraConfig>)).toThrow(message));

  it("reads what it writes", () => {
    const config = loraConfig({ r: 3, lora_alpha: 9, target_modules: ["q_proj"], rank_pattern: { q_proj: 2 }, layers_to_transform: [1] });
    expect(readLoraConfig(writeLoraConfig(config), "x")).toEqual(config);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ peft_type: "IA3" }, 'peft_type "IA3" is not offered; "LORA" is.'],
    [{ peft_type: "LORA", layer_replication: [[0, 1]] }, 'The option "layer_replication": [[0,1]] is not offered.'],
    [{ peft_type: "LORA", use_qalora: true }, 'The option "use_qalora": true is not offered.'],
    [{ peft_type: "LORA", trainable_token_indices: [1] }, 'The option "trainable_token_indices": [1] is not offered.'],
    [{ peft_type: "LORA", init_lora_weights: "pizza" }, '"init_lora_weights" is "pizza" where one of true, false, gaussian, orthogonal, '],
    [{ peft_type: "LORA", init_lora_weights: "pissa_niter_0" }, "lora_ga, pissa_niter_N is needed."],
    [{ peft_type: "LORA", init_lora_weights: "true" }, '"init_lora_weights" is "true" where one of true, '],
  ])("refuses %j by name", (raw, message) => expect(() => readLoraConfig(raw, "adapter_config.json")).toThrow(message));

  it("ignores keys of newer versions and takes a single layer index", () => {
    const config = readLoraConfig({ peft_type: "LORA", target_modules: ["q_proj"], layers_to_transform: 1, from_the_future: 7 }, "x");
    expect(config.layers_to_transform).toEqual([1]);
  });
});
