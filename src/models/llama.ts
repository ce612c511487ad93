/** @file The Llama family: Llama 2 and 3, TinyLlama, SmolLM2 and what shares their architecture. It knows nothing about training or adapters. */
import { configReader, ropeOf } from "../formats/index.ts";
import { add, reshape, rmsNorm, rotary, silu, transpose, type Tensor } from "../graph/index.ts";
import { gatedMlp, recomputed, ropeFrequencies, ropeTables, type Modules } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Family, LinearSpec, ParameterSpec } from "./model.ts";

export const llama: Family = (config, where) => {
  const read = configReader(config, where);
  const D = read.size("hidden_size");
  const F = read.size("intermediate_size");
  const layers = read.size("num_hidden_layers");
  const H = read.size("num_attention_heads");
  const K = read.size("num_key_value_heads", H);
  const headSize = read.size("head_dim", D / H);
  const V = read.size("vocab_size");
  const epsilon = read.number("rms_norm_eps", 1e-6);
  const maxPositions = read.size("max_position_embeddings", 2048);
  const attentionBias = read.boolean("attention_bias", false);
  const mlpBias = read.boolean("mlp_bias", false);
  const tied = read.boolean("tie_word_embeddings", false);
  const deviation = read.number("initializer_range", 0.02);
  read.oneOf("hidden_act", ["silu"], "silu");
  if (H % K !== 0)
    throw new LowrankError("invalid-config", `num_attention_heads ${H} is no multiple of num_key_value_heads ${K}.`, { where });
  const frequencies = ropeFrequencies(ropeOf(config, where), headSize);

  const linearsOf = (layer: number): LinearSpec[] => {
    const prefix = `model.layers.${layer}`;
    const linear = (name: string, inFeatures: number, outFeatures: number, bias: boolean): LinearSpec => ({
      module: `${prefix}.${name}`,
      inFeatures,
      outFeatures,
      bias,
      isHead: false,
    });
    return [
      linear("self_attn.q_proj", D, H * headSize, attentionBias),
      linear("self_attn.k_proj", D, K * headSize, attentionBias),
      linear("self_attn.v_proj", D, K * headSize, attentionBias),
      linear("self_attn.o_proj", H * headSize, D, attentionBias),
      linear("mlp.gate_proj", D, F, mlpBias),
      linear("mlp.up_proj", D, F, mlpBias),
      linear("mlp.down_proj", F, D, mlpBias),
    ];
  };
  const indices = Array.from({ length: layers }, (_, layer) => layer);
  const head: LinearSpec = { module: "lm_head", inFeatures: D, outFeatures: V, bias: false, isHead: true };
  const weightOf = ({ module, inFeatures, outFeatures, bias }: LinearSpec): ParameterSpec[] => [
    { name: `${module}.weight`, shape: [outFeatures, inFeatures], start: { normal: deviation } },
    ...(bias ? [{ name: `${module}.bias`, shape: [outFeatures], start: "zeros" as const }] : []),
  ];
  const gain = (name: string): ParameterSpec => ({ name, shape: [D], start: "ones" });
  const parameters: ParameterSpec[] = [
    { name: "model.embed_tokens.weight", shape: [V, D], start: { normal: deviation } },
    ...indices.flatMap((layer) => [
      gain(`model.layers.${layer}.input_layernorm.weight`),
      ...linearsOf(layer).flatMap(weightOf),
      gain(`model.layers.${layer}.post_attention_layernorm.weight`),
    ]),
    gain("model.norm.weight"),
    ...(tied ? [] : weightOf(head)),
  ];

  const aliases: Record<string, string> = tied ? { "lm_head.weight": "model.embed_tokens.weight" } : {};
  const norm = (modules: Modules, name: string, x: Tensor): Tensor => rmsNorm(x, modules.tensor(`${name}.weight`), epsilon);

  return {
    type: "llama",
    config,
    vocabularySize: V,
    hiddenSize: D,
    maxPositions,
    layers,
    cache: { heads: K, headSize },
    parameters,
    linears: [...indices.flatMap(linearsOf), head],
    aliases,
    head: head.module,
    forward: (modules, { ids, attention, recompute }) => {
      const [B, T] = ids.shape;
      const { cos, sin } = ropeTables(frequencies, attention.maxPositions);
      const heads = (x: Tensor, count: number): Tensor => transpose(reshape(x, [B, T, count, headSize]), [0, 2, 1, 3]); // (B, count, T, headSize)
      const turn = (x: Tensor): Tensor => rotary(x, attention.positions, cos, sin);

      const layer = (x: Tensor, index: number): Tensor => {
        const prefix = `model.layers.${index}`;
        const normed = norm(modules, `${prefix}.input_layernorm`, x); // (B·T, D)
        const project = (name: string): Tensor => modules.linear(`${prefix}.self_attn.${name}`, normed);
        const q = turn(heads(project("q_proj"), H));
        const k = turn(heads(project("k_proj"), K));
        const v = heads(project("v_proj"), K);
        const attended = attention.attend(index, q, k, v, { scale: headSize ** -0.5 }); // (B, H, T, headSize)
        const flat = reshape(transpose(attended, [0, 2, 1, 3]), [B * T, H * headSize]);
        const middle = add(x, modules.linear(`${prefix}.self_attn.o_proj`, flat));
        return add(middle, gatedMlp(modules, `${prefix}.mlp`, norm(modules, `${prefix}.post_attention_layernorm`, middle), silu));
      };

      let hidden = modules.embedding("model.embed_tokens", ids); // (B·T, D)
      for (const index of indices) hidden = recompute ? recomputed(modules, [hidden], () => layer(hidden, index)) : layer(hidden, index);
      return norm(modules, "model.norm", hidden);
    },
  };
};
