/** @file The GPT-2 family: learned positions, layer norms with biases, fused projections whose weights lie as (in, out). */
import { configReader, gguf, type GgufValue } from "../formats/index.ts";
import { add, reshape, slice, transpose, type Tensor } from "../graph/index.ts";
import { activations, causalMask, layerNorm, recomputed } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import { activationOf, requireValue } from "./decoder-config.ts";
import type { GgufPlace } from "./gguf.ts";
import { decoderHead } from "./heads/decoder-head.ts";
import type { Family, LinearSpec, ParameterSpec } from "./model.ts";

const ggufNames: Readonly<Record<string, string>> = {
  "transformer.wte": "token_embd",
  "transformer.wpe": "position_embd",
  "transformer.ln_f": "output_norm",
  lm_head: "output",
  ln_1: "attn_norm",
  ln_2: "ffn_norm",
  "attn.c_attn": "attn_qkv",
  "attn.c_proj": "attn_output",
  "mlp.c_fc": "ffn_up",
  "mlp.c_proj": "ffn_down",
};

const ggufPlace = (parameter: string, tied: boolean): GgufPlace | undefined => {
  const [, layer, module, suffix] = /^(?:transformer\.h\.(\d+)\.)?(.+)(\.(?:weight|bias))$/.exec(parameter) ?? [];
  const name = ggufNames[module];
  if (name === undefined) return undefined;
  const turned = module.includes(".c_") && suffix === ".weight";
  const place = { name: `${layer === undefined ? "" : `blk.${layer}.`}${name}${suffix}`, ...(turned && { turned }) };
  if (!module.startsWith("transformer.w")) return place;
  // Where the embedding is the head as well, llama.cpp multiplies with the factors for ids there, and aborts; positions it never adapts.
  return { ...place, lookedUp: true, ...((tied || module === "transformer.wpe") && { adapts: false }) };
};

export const gpt2: Family = (config, where) => {
  const read = configReader(config, where);
  requireValue(config, "add_cross_attention", false, where);
  const D = read.size("n_embd", 768);
  const H = read.size("n_head", 12);
  const F = read.size("n_inner", 4 * D);
  const layers = read.size("n_layer", 12);
  const V = read.size("vocab_size", 50_257);
  const maxPositions = read.size("n_positions", 1024);
  const epsilon = read.number("layer_norm_epsilon", 1e-5);
  const deviation = read.number("initializer_range", 0.02);
  const tied = read.boolean("tie_word_embeddings", true);
  const activation = activationOf(read, "activation_function", "gelu_new");
  const isScaled = read.boolean("scale_attn_weights", true);
  const scalesByLayer = read.boolean("scale_attn_by_inverse_layer_idx", false);
  if (D % H !== 0) throw new LowrankError("invalid-config", `n_embd ${D} is no multiple of n_head ${H}.`, { where });
  const headSize = D / H;

  const nameOf = (layer: number): string => `transformer.h.${layer}`;
  const indices = Array.from({ length: layers }, (_, layer) => layer);
  const linearsOf = (layer: number): LinearSpec[] => {
    const linear = (name: string, inFeatures: number, outFeatures: number): LinearSpec => ({
      module: `${nameOf(layer)}.${name}`,
      inFeatures,
      outFeatures,
      bias: true,
      turned: true,
      isHead: false,
    });
    return [linear("attn.c_attn", D, 3 * D), linear("attn.c_proj", D, D), linear("mlp.c_fc", D, F), linear("mlp.c_proj", F, D)];
  };
  const { head, linears, ...rest } = decoderHead({
    config,
    where,
    hiddenSize: D,
    vocabularySize: V,
    tiedTo: tied ? "transformer.wte" : undefined,
    deviation,
  });
  const table = (name: string, rows: number): ParameterSpec => ({ name, shape: [rows, D], start: { normal: deviation } });
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [D], start: "ones" },
    { name: `${name}.bias`, shape: [D], start: "zeros" },
  ];
  const turned = ({ module, inFeatures, outFeatures }: LinearSpec): ParameterSpec[] => {
    // What adds to the residual stream starts smaller, by how often that happens [Radford et al. 2019, §2.3].
    const normal = module.endsWith(".c_proj") ? deviation / Math.sqrt(2 * layers) : deviation;
    return [
      { name: `${module}.weight`, shape: [inFeatures, outFeatures], start: { normal } },
      { name: `${module}.bias`, shape: [outFeatures], start: "zeros" },
    ];
  };

  return {
    type: "gpt2",
    config,
    vocabularySize: V,
    hiddenSize: D,
    maxPositions,
    layers,
    cache: { heads: H, headSize },
    windows: [Infinity],
    parameters: [
      table("transformer.wte.weight", V),
      table("transformer.wpe.weight", maxPositions),
      ...indices.flatMap((layer) => [
        ...norm(`${nameOf(layer)}.ln_1`),
        ...norm(`${nameOf(layer)}.ln_2`),
        ...linearsOf(layer).flatMap(turned),
      ]),
      ...norm("transformer.ln_f"),
      ...head.parameters,
    ],
    linears: [...indices.flatMap(linearsOf), ...linears],
    embeddings: [
      { module: "transformer.wte", rows: V, width: D, isTokens: true },
      { module: "transformer.wpe", rows: maxPositions, width: D, isTokens: false },
    ],
    ...rest,
    head,
    mask: causalMask,
    mlxRoot: "model",
    gguf: {
      architecture: "gpt2",
      place: (parameter) => ggufPlace(parameter, tied),
      describe: () => {
        requireValue(config, "scale_attn_weights", true, where);
        requireValue(config, "scale_attn_by_inverse_layer_idx", false, where);
        if (activation !== activations.gelu_new)
          throw new LowrankError("unsupported", "llama.cpp computes gpt2 models with another activation than this model has.", { where });
        const metadata: Readonly<Record<string, GgufValue>> = {
          context_length: gguf.u32(maxPositions),
          embedding_length: gguf.u32(D),
          block_count: gguf.u32(layers),
          feed_forward_length: gguf.u32(F),
          "attention.head_count": gguf.u32(H),
          "attention.layer_norm_epsilon": gguf.f32(epsilon),
          vocab_size: gguf.u32(V),
        };
        return { metadata: new Map(Object.entries(metadata)), tensors: new Map(), notes: [] };
      },
    },
    forward: (modules, { ids, attention, recompute }) => {
      const [B, T] = ids.shape;
      const normed = (name: string, x: Tensor): Tensor =>
        layerNorm(x, modules.tensor(`${name}.weight`), modules.tensor(`${name}.bias`), epsilon);
      const attend = (index: number, x: Tensor): Tensor => {
        const all = modules.linear(`${nameOf(index)}.attn.c_attn`, x); // (B·T, 3D)
        const [q, k, v] = [0, 1, 2].map((part) =>
          transpose(reshape(slice(all, 1, part * D, (part + 1) * D), [B, T, H, headSize]), [0, 2, 1, 3]),
        ); // (B, H, T, headSize)
        const scale = (isScaled ? headSize ** -0.5 : 1) / (scalesByLayer ? index + 1 : 1);
        const attended = attention.attend(index, q, k, v, { scale });
        return modules.linear(`${nameOf(index)}.attn.c_proj`, reshape(attended, [B * T, D]));
      };
      const feedForward = (index: number, x: Tensor): Tensor => {
        const inner = modules.linear(`${nameOf(index)}.mlp.c_fc`, x); // (B·T, F)
        return recomputed(modules, [inner], () => modules.linear(`${nameOf(index)}.mlp.c_proj`, activation(inner)));
      };
      const layer = (x: Tensor, index: number): Tensor => {
        const middle = add(x, attend(index, normed(`${nameOf(index)}.ln_1`, x)));
        return add(middle, feedForward(index, normed(`${nameOf(index)}.ln_2`, middle)));
      };

      let hidden = add(modules.embedding("transformer.wte", ids), modules.embedding("transformer.wpe", attention.positions)); // (B·T, D)
      for (const index of indices) hidden = recompute ? recomputed(modules, [hidden], () => layer(hidden, index)) : layer(hidden, index);
      return normed("transformer.ln_f", hidden);
    },
  };
};
