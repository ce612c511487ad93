/** @file Encoders of the BERT kind, made from a description: learned positions, and layers that are normalised behind each block. It knows no family by name. */
import { add, integers, reshape, transpose, type Tensor } from "../graph/index.ts";
import { fullMask, layerNorm, recomputed, type Activation } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import { headOf, linearParameters, type Heads } from "./heads/head.ts";
import type { LinearSpec, Model, ParameterSpec } from "./model.ts";
import { tokenEmbedding } from "./token-embedding.ts";

/** Names of a layer's modules, below the layer's own. */
export interface EncoderLayerNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly output: string;
  /** On the sum of the layer's input and its attention. */
  readonly attentionNorm: string;
  readonly up: string;
  readonly down: string;
  /** On the sum of that and the feed-forward block. */
  readonly outputNorm: string;
}

/** Everything in which the families differ. */
export interface Encoder {
  readonly type: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The configuration's file, for errors. */
  readonly where: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  /** Width of the feed-forward block. */
  readonly innerSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Rows of the position table. */
  readonly positions: number;
  /** Rows of that table that no document's tokens have. */
  readonly reservedPositions: number;
  /** The row of each token: (B, T) int64, from ids (B, T) and positions in documents (B, T). */
  readonly placesOf: (ids: Tensor, positions: Tensor) => Tensor;
  /** Kinds of tokens (first and second text); 0 where the family has none. */
  readonly tokenTypes: number;
  /** Standard deviation of new weights. */
  readonly deviation: number;
  readonly epsilon: number;
  readonly activation: Activation;
  /** Module of the embeddings and their norm. */
  readonly embeddings: string;
  readonly layerName: (index: number) => string;
  readonly layerNames: EncoderLayerNames;
  readonly classifiers: Heads;
  /** Tensors of heads that are not read. */
  readonly unread: RegExp;
}

const linearsOf = ({ hiddenSize: D, innerSize: F, layerName, layerNames }: Encoder, index: number): LinearSpec[] => {
  const linear = (name: string, inFeatures: number, outFeatures: number): LinearSpec => ({
    module: `${layerName(index)}.${name}`,
    inFeatures,
    outFeatures,
    bias: true,
    isHead: false,
  });
  const { query, key, value, output, up, down } = layerNames;
  return [...[query, key, value, output].map((name) => linear(name, D, D)), linear(up, D, F), linear(down, F, D)];
};

const parametersOf = (encoder: Encoder): ParameterSpec[] => {
  const { hiddenSize: D, embeddings, layerName, layerNames, tokenTypes, deviation } = encoder;
  const table = (name: string, rows: number): ParameterSpec => ({
    name: `${embeddings}.${name}.weight`,
    shape: [rows, D],
    start: { normal: deviation },
  });
  const norm = (name: string): ParameterSpec[] => [
    { name: `${name}.weight`, shape: [D], start: "ones" },
    { name: `${name}.bias`, shape: [D], start: "zeros" },
  ];
  const layer = (index: number): ParameterSpec[] => [
    ...linearsOf(encoder, index).flatMap((linear) => linearParameters(linear, deviation)),
    ...norm(`${layerName(index)}.${layerNames.attentionNorm}`),
    ...norm(`${layerName(index)}.${layerNames.outputNorm}`),
  ];
  return [
    table("word_embeddings", encoder.vocabularySize),
    table("position_embeddings", encoder.positions),
    ...(tokenTypes === 0 ? [] : [table("token_type_embeddings", tokenTypes)]),
    ...norm(`${embeddings}.LayerNorm`),
    ...Array.from({ length: encoder.layers }, (_, index) => layer(index)).flat(),
  ];
};

const forwardOf =
  (encoder: Encoder): Model["forward"] =>
  (modules, { ids, types, attention, recompute }) => {
    const { hiddenSize: D, heads: H, epsilon, embeddings, layerNames, tokenTypes } = encoder;
    const [B, T] = ids.shape;
    const headSize = D / H;
    const norm = (name: string, x: Tensor): Tensor =>
      layerNorm(x, modules.tensor(`${name}.weight`), modules.tensor(`${name}.bias`), epsilon);

    const embedded = (): Tensor => {
      const places = encoder.placesOf(ids, attention.positions); // (B, T)
      const words = modules.embedding(`${embeddings}.word_embeddings`, ids); // (B·T, D)
      const placed = add(words, modules.embedding(`${embeddings}.position_embeddings`, places));
      return tokenTypes === 0 ? placed : add(placed, modules.embedding(`${embeddings}.token_type_embeddings`, types ?? integers([0])));
    };
    const layer = (x: Tensor, index: number): Tensor => {
      const linear = (name: string, y: Tensor): Tensor => modules.linear(`${encoder.layerName(index)}.${name}`, y);
      const normed = (name: string, y: Tensor): Tensor => norm(`${encoder.layerName(index)}.${name}`, y);
      const [q, k, v] = [layerNames.query, layerNames.key, layerNames.value].map((name) =>
        transpose(reshape(linear(name, x), [B, T, H, headSize]), [0, 2, 1, 3]),
      ); // (B, H, T, headSize)
      const attended = attention.attend(index, q, k, v, { scale: headSize ** -0.5 });
      const middle = normed(layerNames.attentionNorm, add(x, linear(layerNames.output, reshape(attended, [B * T, D]))));
      const inner = linear(layerNames.up, middle); // (B·T, F)
      const fed = recomputed(modules, [inner], () => linear(layerNames.down, encoder.activation(inner)));
      return normed(layerNames.outputNorm, add(middle, fed));
    };

    let hidden = norm(`${embeddings}.LayerNorm`, embedded());
    for (let index = 0; index < encoder.layers; index++)
      hidden = recompute ? recomputed(modules, [hidden], () => layer(hidden, index)) : layer(hidden, index);
    return hidden;
  };

/** The model that a description means. */
export const encoderModel = (encoder: Encoder): Model => {
  const { type, config, where, vocabularySize, hiddenSize, layers, heads, unread } = encoder;
  if (hiddenSize % heads !== 0)
    throw new LowrankError("invalid-config", `The hidden size ${hiddenSize} is no multiple of the ${heads} heads.`, { where });
  const { head, linears, aliases } = headOf(config, where, encoder.classifiers, "ForSequenceClassification");
  return {
    type,
    config,
    vocabularySize,
    hiddenSize,
    maxPositions: encoder.positions - encoder.reservedPositions,
    layers,
    cache: { heads, headSize: hiddenSize / heads },
    windows: [Infinity],
    tokenTypes: encoder.tokenTypes,
    parameters: [...parametersOf(encoder), ...head.parameters],
    linears: [...Array.from({ length: layers }, (_, index) => linearsOf(encoder, index)).flat(), ...linears],
    embeddings: [
      tokenEmbedding(`${encoder.embeddings}.word_embeddings`, encoder),
      { module: `${encoder.embeddings}.position_embeddings`, rows: encoder.positions, width: hiddenSize, isTokens: false },
      ...(encoder.tokenTypes === 0
        ? []
        : [{ module: `${encoder.embeddings}.token_type_embeddings`, rows: encoder.tokenTypes, width: hiddenSize, isTokens: false }]),
    ],
    aliases,
    unread,
    head,
    mask: fullMask,
    forward: forwardOf(encoder),
  };
};
