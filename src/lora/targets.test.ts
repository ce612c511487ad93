import { describe, expect, it } from "vitest";
import { modelOf, type Model } from "../models/index.ts";
import { planAdapter } from "./adapter.ts";
import { loraConfig, readLoraConfig, writeLoraConfig, type LoraConfig, type LoraOptions } from "./config.ts";
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
  const count = (given: LoraOptions, more: object = {}): number => planAdapter(llama(more), loraConfig(given)).layout.size;
  it.each<[string, LoraOptions, object, number]>([
    // Σ r·(in + out) over q, k, v, o, gate, up, down, twice
    ["all linears at rank 8", { r: 8 }, {}, 2 * 8 * (128 + 96 + 96 + 128 + 176 + 176 + 176)],
    [
      "a head that is saved whole beside q and v",
      { r: 4, target_modules: ["q_proj", "v_proj"], modules_to_save: ["lm_head"] },
      { tie_word_embeddings: true },
      2 * 4 * (128 + 96) + 199 * 64,
    ],
    ["magnitudes of DoRA", { r: 2, target_modules: ["q_proj", "down_proj"], use_dora: true }, {}, 2 * (2 * (128 + 176) + 64 + 64)],
    ["LoRA-FA, which trains B alone", { r: 2, target_modules: ["down_proj"], freeze_A: true }, {}, 2 * 2 * 64],
    ["VeRA's vectors", { r: 5, target_modules: ["q_proj", "down_proj"], vera: {} }, {}, 2 * (64 + 64 + 2 * 5)],
    ["VeRA's vectors at its usual rank", { target_modules: ["k_proj"], vera: {} }, {}, 2 * (32 + 256)],
    ["AdaLoRA's triplets", { target_modules: ["k_proj"], adalora: {} }, {}, 2 * 12 * (96 + 1)],
    ["rows of tokens", { r: 1, target_modules: ["q_proj"], trainable_token_indices: [3, 7, 11] }, {}, 2 * 128 + 3 * 64],
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
    [{ lora_bias: true, use_dora: true }, '"use_dora", "lora_bias" and "freeze_A" exclude each other.'],
    [{ vera: { d_initial: "a" } }, '"d_initial" is "a" where a number is needed.'],
    [{ vera: {}, lora_alpha: 16 }, 'A VERA configuration has no "lora_alpha".'],
    [{ vera: {}, trainable_token_indices: [1] }, 'A VERA configuration has no "trainable_token_indices".'],
    [{ adalora: { beta1: 1 } }, '"beta1" is 1 where a number between 0 and 1 is needed.'],
    [{ adalora: {}, use_dora: true }, 'AdaLoRA excludes "use_dora", "lora_bias" and "use_rslora".'],
    [{ adalora: { total_step: 9, tinit: 5, tfinal: 4 } }, 'No update is left in which ranks could be taken: "total_step" is 9.'],
    [{ eva_config: { rho: 0.5 } }, '"eva_config" is {"rho":0.5} where rho (1 or more), use_label_mask, '],
    [{ corda_config: { corda_method: "both" } }, '"corda_config" is {"corda_method":"both"} where corda_method ("ipm" or "kpm")'],
    [{ lora_ga_config: { scale: "large" } }, "where direction (ArB2r, A2rBr, ArBr, random), scale (stable, "],
    [{ bias: "some" }, '"bias" is "some" where "none", "all" or "lora_only" is needed.'],
  ])("refuses %j", (given, message) => expect(() => loraConfig(given as Partial<LoraConfig>)).toThrow(message));

  it.each<[string, LoraOptions]>([
    ["LORA", { r: 3, lora_alpha: 9, target_modules: ["q_proj"], rank_pattern: { q_proj: 2 }, layers_to_transform: [1] }],
    ["LORA", { use_dora: true, bias: "all" }],
    ["VERA", { r: 7, lora_dropout: 0.5, vera: { projection_prng_key: 9, save_projection: false, d_initial: 0.2 } }],
    ["ADALORA", { r: 5, lora_alpha: 3, adalora: { total_step: 90, tinit: 3, rank_pattern: { q: [true, false, true, true, true] } } }],
  ])("reads what it writes: %s %j", (type, given) => {
    const config = loraConfig(given);
    expect(writeLoraConfig(config)["peft_type"]).toBe(type);
    expect(readLoraConfig(writeLoraConfig(config), "x")).toEqual(config);
  });

  it("says what PEFT has other names for as PEFT says it", () => {
    expect(writeLoraConfig(loraConfig({ lora_dropout: 0.5, vera: {} }))).toMatchObject({ vera_dropout: 0.5, init_weights: true, r: 256 });
    const adalora = writeLoraConfig(loraConfig({ adalora: { tinit: 4, rank_pattern: { q: [true] } } }));
    expect(adalora).toMatchObject({ init_r: 12, target_r: 8, total_step: 5, rank_pattern: { "q.lora_E": [true] } });
    for (const written of [adalora, writeLoraConfig(loraConfig())])
      expect(Object.keys(written)).not.toEqual(expect.arrayContaining([expect.stringMatching(/^(vera|adalora|freeze_A)$/)]));
  });

  it.each<[Record<string, unknown>, string]>([
    [{ peft_type: "IA3" }, 'peft_type "IA3" is not offered; known: VERA, ADALORA, LORA.'],
    [{ peft_type: "LORA", layer_replication: [[0, 1]] }, 'The option "layer_replication": [[0,1]] is not offered.'],
    ...(
      [
        ["alora_invocation_tokens", [1]],
        ["arrow_config", {}],
        ["use_bdlora", { nblocks: 2 }],
        ["velora_config", {}],
        ["kasa_config", {}],
        ["monteclora_config", {}],
        ["megatron_config", {}],
        ["ensure_weight_tying", true],
      ] as const
    ).flatMap(([key, value]) =>
      ["LORA", "ADALORA"].map((type): [Record<string, unknown>, string] => [
        { peft_type: type, [key]: value },
        `The option "${key}": ${JSON.stringify(value)} is not offered.`,
      ]),
    ),
    [{ peft_type: "LORA", use_qalora: true }, 'The option "use_qalora": true is not offered.'],
    [{ peft_type: "LORA", init_lora_weights: "pizza" }, '"init_lora_weights" is "pizza" where one of true, false, gaussian, orthogonal, '],
    [{ peft_type: "LORA", init_lora_weights: "pissa_niter_0" }, "lora_ga, pissa_niter_N is needed."],
    [{ peft_type: "LORA", init_lora_weights: "true" }, '"init_lora_weights" is "true" where one of true, '],
  ])("refuses %j by name", (raw, message) => expect(() => readLoraConfig(raw, "adapter_config.json")).toThrow(message));

  it("ignores keys of newer versions and takes a single layer index", () => {
    const config = readLoraConfig({ peft_type: "LORA", target_modules: ["q_proj"], layers_to_transform: 1, from_the_future: 7 }, "x");
    expect(config.layers_to_transform).toEqual([1]);
  });
});
