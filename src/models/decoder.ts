/** @file Decoders of the Llama kind, made from a description: pre- or post-normalised layers of rotary attention and a gated block. It knows no family by name. */
import { add, rematerialise, reshape, rmsNorm, scalar, scale, slice, transpose, type Tensor } from "../graph/index.ts";
import {
  causalMask,
  fusedGatedMlp,
  gatedExperts,
  gatedMlp,
  recomputed,
  roundedRope,
  ropeTables,
  routed,
  turn,
  type Activation,
  type Modules,
  type Rope,
  type RopeTables,
} from "../nn/index.ts";
import { roundTo, type Half } from "../util/index.ts";
import { decoderLayout, type DecoderGguf } from "./decoder-gguf.ts";
import { expertModules, expertParameters, expertStacks, routerModule, type Experts } from "./experts.ts";
import { decoderHead } from "./heads/decoder-head.ts";
import { linearParameters } from "./heads/head.ts";
import type { Balance, LinearSpec, Model, ParameterSpec } from "./model.ts";
import { tokenEmbedding } from "./token-embedding.ts";

/** Norms of a layer by their names in the checkpoint; where one is missing, nothing is normalised there. */
export interface LayerNorms {
  readonly beforeAttention?: string;
  /** On what attention adds to the residual stream. */
  readonly afterAttention?: string;
  readonly beforeMlp?: string;
  /** On what the gated block adds to the residual stream. */
  readonly afterMlp?: string;
}

/** Everything in which the families differ. */
export interface Decoder {
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The configuration's file, for errors. */
  readonly where: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  /** Width of the gated block. */
  readonly innerSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly maxPositions: number;
  /** Whether the head is the embedding. */
  readonly tied: boolean;
  /** Standard deviation of new weights. */
  readonly deviation: number;
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly mlp: boolean };
  /** Whether one projection makes queries, keys and values, and one the gate and what it gates. */
  readonly fused: boolean;
  /** Routed experts by layer, undefined for a layer with one gated block; default none. */
  readonly experts?: (layer: number) => Experts | undefined;
  /** What training asks of the experts' use, where the head predicts tokens; default nothing. */
  readonly balance?: Balance | undefined;
  readonly norms: LayerNorms;
  readonly epsilon: number;
  /** What is added to stored gains: 1 where checkpoints hold their distance from one. */
  readonly gainOffset: 0 | 1;
  /** Norms of queries and keys: of each head, or of all heads together; default none. */
  readonly queryKeyNorm?: "head" | "projection";
  readonly activation: Activation;
  /** Rotary embedding by layer, undefined for a layer without. */
  readonly rope: (layer: number) => Rope | undefined;
  /** Keys that a query of a layer sees, Infinity for all before it. */
  readonly window: (layer: number) => number;
  /** Factor on q·kᵀ. */
  readonly scoreScale: number;
  /** Soft cap of the scores; default none. */
  readonly scoreCap?: number;
  readonly embeddingScale: number;
  /** Whether PyTorch keeps that factor in a buffer, which a cast of the module rounds; default no. */
  readonly isScaleBuffered?: boolean;
  /** Factor on what attention and the gated block add to the residual stream. */
  readonly residualScale: number;
  /** What becomes of the head's output; default nothing. */
  readonly finish?: (logits: Tensor) => Tensor;
  /** What llama.cpp makes of the family; default nothing. */
  readonly gguf?: DecoderGguf;
}

const embedding = "model.embed_tokens";
const lastNorm = "model.norm";
const layerName = (index: number): string => `model.layers.${index}`;

const layerLinears = (decoder: Decoder, index: number): LinearSpec[] => {
  const { hiddenSize: D, innerSize: F, heads: H, keyValueHeads: K, headSize, biases, fused } = decoder;
  const linear = (name: string, inFeatures: number, outFeatures: number, bias: boolean): LinearSpec => ({
    module: `${layerName(index)}.${name}`,
    inFeatures,
    outFeatures,
    bias,
    isHead: false,
  });
  const inputs = fused
    ? [linear("self_attn.qkv_proj", D, (H + 2 * K) * headSize, biases.qkv)]
    : [
        linear("self_attn.q_proj", D, H * headSize, biases.qkv),
        linear("self_attn.k_proj", D, K * headSize, biases.qkv),
        linear("self_attn.v_proj", D, K * headSize, biases.qkv),
      ];
  const attention = [...inputs, linear("self_attn.o_proj", H * headSize, D, biases.output)];
  if (decoder.experts?.(index) !== undefined) return attention;
  const gates = fused
    ? [linear("mlp.gate_up_proj", D, 2 * F, biases.mlp)]
    : [linear("mlp.gate_proj", D, F, biases.mlp), linear("mlp.up_proj", D, F, biases.mlp)];
  return [...attention, ...gates, linear("mlp.down_proj", F, D, biases.mlp)];
};

const parametersOf = (decoder: Decoder): ParameterSpec[] => {
  const { vocabularySize: V, hiddenSize: D, layers, heads, keyValueHeads, headSize, deviation, norms, gainOffset } = decoder;
  const gain = (name: string, size: number): ParameterSpec => ({
    name: `${name}.weight`,
    shape: [size],
    start: gainOffset === 1 ? "zeros" : "ones",
  });
  const layer = (index: number): ParameterSpec[] => {
    const prefix = layerName(index);
    const experts = decoder.experts?.(index);
    const gains = (names: readonly (string | undefined)[]): ParameterSpec[] =>
      names.filter((name) => name !== undefined).map((name) => gain(`${prefix}.${name}`, D));
    const width = (count: number): number => (decoder.queryKeyNorm === "projection" ? count * headSize : headSize);
    return [
      ...gains([norms.beforeAttention]),
      ...layerLinears(decoder, index).flatMap((linear) => linearParameters(linear, deviation)),
      ...(decoder.queryKeyNorm === undefined
        ? []
        : [gain(`${prefix}.self_attn.q_norm`, width(heads)), gain(`${prefix}.self_attn.k_norm`, width(keyValueHeads))]),
      ...gains([norms.afterAttention, norms.beforeMlp, norms.afterMlp]),
      ...(experts === undefined ? [] : expertParameters(experts, prefix, D, deviation)),
    ];
  };
  return [
    { name: `${embedding}.weight`, shape: [V, D], start: { normal: deviation } },
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    gain(lastNorm, D),
  ];
};

// Queries, keys and values of a layer before their norms: (N, heads·headSize) each.
const projections = ({ fused, heads, keyValueHeads, headSize }: Decoder, modules: Modules, module: string, x: Tensor): Tensor[] => {
  if (!fused)
    return modules.linears(
      ["q_proj", "k_proj", "v_proj"].map((name) => `${module}.${name}`),
      x,
    );
  const all = modules.linear(`${module}.qkv_proj`, x);
  const keys = heads * headSize;
  const values = keys + keyValueHeads * headSize;
  return [slice(all, 1, 0, keys), slice(all, 1, keys, values), slice(all, 1, values, all.shape[1])];
};

const forwardOf =
  (decoder: Decoder): Model["forward"] =>
  (modules, { ids, attention, recompute, onRouting }) => {
    const { heads: H, keyValueHeads: K, headSize, norms, epsilon, queryKeyNorm, residualScale } = decoder;
    const [B, T] = ids.shape;
    const tables = new Map<Rope, RopeTables>();
    const tablesOf = (rope: Rope): RopeTables => {
      const made = tables.get(rope) ?? ropeTables(rope, attention.positions, attention.maxPositions);
      tables.set(rope, made);
      return made;
    };
    const gainOf = (name: string): Tensor => modules.tensor(`${name}.weight`);
    const norm = (name: string, x: Tensor): Tensor => {
      const gain = gainOf(name);
      return rmsNorm(x, decoder.gainOffset === 0 ? gain : add(gain, scalar(decoder.gainOffset)), epsilon);
    };

    const attend = (index: number, x: Tensor): Tensor => {
      const module = `${layerName(index)}.self_attn`;
      const rope = decoder.rope(index);
      const [q, k, v] = projections(decoder, modules, module, x);
      const split = (y: Tensor, count: number): Tensor => reshape(y, [B, T, count, headSize]);
      const place = (y: Tensor, count: number, name: string): Tensor => {
        const whole = queryKeyNorm === "projection" ? norm(`${module}.${name}`, y) : y;
        const apart = queryKeyNorm === "head" ? norm(`${module}.${name}`, split(whole, count)) : split(whole, count);
        const vectors = transpose(apart, [0, 2, 1, 3]); // (B, count, T, headSize)
        return rope === undefined ? vectors : turn(vectors, attention.positions, tablesOf(rope));
      };
      const attended = attention.attend(index, place(q, H, "q_norm"), place(k, K, "k_norm"), transpose(split(v, K), [0, 2, 1, 3]), {
        scale: decoder.scoreScale,
        window: decoder.window(index),
        cap: decoder.scoreCap,
      }); // (B, T, H, headSize)
      return modules.linear(`${module}.o_proj`, reshape(attended, [B * T, H * headSize]));
    };
    const mlp = (index: number, x: Tensor): Tensor => {
      const name = layerName(index);
      const experts = decoder.experts?.(index);
      if (experts === undefined) return (decoder.fused ? fusedGatedMlp : gatedMlp)(modules, `${name}.mlp`, x, decoder.activation);
      const expert = gatedExperts(modules, expertModules(experts, name), decoder.activation);
      const logits = modules.linear(routerModule(experts, name), x); // (B·T, E)
      onRouting?.(logits);
      return routed(x, logits, experts, expert);
    };

    const layer = (x: Tensor, index: number): Tensor => {
      // A norm is cheaper to make again than to keep.
      const normed = (name: string | undefined, y: Tensor): Tensor =>
        name === undefined ? y : rematerialise(norm(`${layerName(index)}.${name}`, y), y, gainOf(`${layerName(index)}.${name}`));
      const plus = (y: Tensor, branch: Tensor): Tensor => add(y, scale(branch, residualScale));
      const middle = plus(x, normed(norms.afterAttention, attend(index, normed(norms.beforeAttention, x))));
      return plus(middle, normed(norms.afterMlp, mlp(index, normed(norms.beforeMlp, middle))));
    };

    let hidden = scale(modules.embedding(embedding, ids), decoder.embeddingScale); // (B·T, D)
    for (let index = 0; index < decoder.layers; index++)
      hidden = recompute ? recomputed(modules, [hidden], () => layer(hidden, index)) : layer(hidden, index);
    return norm(lastNorm, hidden);
  };

const withRoundedBuffers = (decoder: Decoder, half: Half): Decoder => {
  const made = new Map<Rope, Rope>();
  const roundedOf = (rope: Rope): Rope => {
    const rounded = made.get(rope) ?? roundedRope(rope, half);
    made.set(rope, rounded);
    return rounded;
  };
  const { embeddingScale, isScaleBuffered = false } = decoder;
  return {
    ...decoder,
    rope: (layer) => {
      const rope = decoder.rope(layer);
      return rope && roundedOf(rope);
    },
    embeddingScale: isScaleBuffered ? roundTo(half, Float32Array.of(embeddingScale))[0] : embeddingScale,
  };
};

/** The model that a description means. */
export const decoderModel = (decoder: Decoder): Model => {
  const { type, config, vocabularySize, hiddenSize, maxPositions, layers, keyValueHeads, headSize, tied } = decoder;
  const indices = Array.from({ length: layers }, (_, index) => index);
  const { head, linears, ...rest } = decoderHead({ ...decoder, tiedTo: tied ? embedding : undefined });
  return {
    type,
    config,
    vocabularySize,
    hiddenSize,
    maxPositions,
    layers,
    cache: { heads: keyValueHeads, headSize },
    windows: [...new Set(indices.map(decoder.window))],
    cacheBoundary: indices.map((index) => decoder.rope(index)?.boundary).find((boundary) => boundary !== undefined),
    parameters: [...parametersOf(decoder), ...head.parameters],
    linears: [...indices.flatMap((index) => layerLinears(decoder, index)), ...linears],
    embeddings: [tokenEmbedding(embedding, decoder)],
    stacks: indices.flatMap((index) => {
      const experts = decoder.experts?.(index);
      return experts === undefined ? [] : expertStacks(experts, layerName(index), hiddenSize);
    }),
    ...rest,
    head,
    mask: causalMask,
    ...(decoder.balance && head.predicts === "tokens" && { balance: decoder.balance }),
    mlxRoot: "model",
    ...(decoder.gguf && { gguf: decoderLayout(decoder, decoder.gguf) }),
    forward: forwardOf(decoder),
    withRoundedBuffers: (half) => decoderModel(withRoundedBuffers(decoder, half)),
  };
};
