/** @file The T5 family [Raffel et al. 2020]: an encoder and a decoder of unscaled attention with learnt biases by distance, normalised without means. */
import { configReader, type ConfigReader } from "../formats/index.ts";
import { add, integers, multiply, reshape, rmsNorm, scale, transpose, type Tensor } from "../graph/index.ts";
import { activations, bucketedBias, causalMask, recomputed, type Activation, type Attention, type PositionBias } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import { activationOf } from "./decoder-config.ts";
import { headOf, linearParameters } from "./heads/head.ts";
import { languageModelHead } from "./heads/language-model.ts";
import type { Family, LinearSpec, Model, ParameterSpec } from "./model.ts";

type Kind = "SelfAttention" | "EncDecAttention" | "DenseReluDense";

interface Stack {
  readonly name: "encoder" | "decoder";
  readonly layers: number;
  /** What each layer adds to the residual stream, in order. */
  readonly kinds: readonly Kind[];
}

interface T5 {
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly hiddenSize: number;
  readonly innerSize: number;
  readonly heads: number;
  readonly headSize: number;
  readonly buckets: number;
  readonly maxDistance: number;
  readonly epsilon: number;
  readonly activation: Activation;
  /** Whether a second projection is multiplied by the activated one [Shazeer 2020]. */
  readonly isGated: boolean;
  /** Factor on what the head reads. */
  readonly outputScale: number;
  /** Factor on the deviations of new weights. */
  readonly initialFactor: number;
}

/** A linear module with the deviation that its weight starts with. */
type Sized = readonly [linear: LinearSpec, deviation: number];

const sublayerName = ({ name }: Stack, layer: number, place: number): string => `${name}.block.${layer}.layer.${place}`;
const biasModule = (stack: Stack): string => `${sublayerName(stack, 0, 0)}.SelfAttention.relative_attention_bias`;

const linearsOf = ({ hiddenSize: D, innerSize: F, heads, headSize, isGated }: T5, module: string, kind: Kind): Sized[] => {
  const linear = (name: string, inFeatures: number, outFeatures: number, deviation = inFeatures ** -0.5): Sized => [
    { module: `${module}.${kind}.${name}`, inFeatures, outFeatures, bias: false, isHead: false },
    deviation,
  ];
  if (kind === "DenseReluDense") return [...(isGated ? ["wi_0", "wi_1"] : ["wi"]).map((name) => linear(name, D, F)), linear("wo", F, D)];
  const inner = heads * headSize;
  // Queries start smaller, because the scores are not scaled.
  return [linear("q", D, inner, (D * headSize) ** -0.5), linear("k", D, inner), linear("v", D, inner), linear("o", inner, D)];
};

const stackParts = (t5: T5, stack: Stack): { parameters: ParameterSpec[]; linears: LinearSpec[] } => {
  const { hiddenSize: D, heads, buckets, initialFactor } = t5;
  const gain = (module: string): ParameterSpec => ({ name: `${module}.weight`, shape: [D], start: "ones" });
  const sublayers = Array.from({ length: stack.layers }, (_, layer) =>
    stack.kinds.map((kind, place) => {
      const module = sublayerName(stack, layer, place);
      return { module, linears: linearsOf(t5, module, kind) };
    }),
  ).flat();
  return {
    parameters: [
      { name: `${biasModule(stack)}.weight`, shape: [buckets, heads], start: { normal: initialFactor * D ** -0.5 } },
      ...sublayers.flatMap(({ module, linears }) => [
        gain(`${module}.layer_norm`),
        ...linears.flatMap(([linear, deviation]) => linearParameters(linear, initialFactor * deviation)),
      ]),
      gain(`${stack.name}.final_layer_norm`),
    ],
    linears: sublayers.flatMap(({ linears }) => linears.map(([linear]) => linear)),
  };
};

const forwardOf =
  (t5: T5): Model["forward"] =>
  (modules, { ids, attention, source, recompute }) => {
    if (source === undefined)
      throw new LowrankError("invalid-argument", "The model is an encoder–decoder, and its encoder is given nothing to read.", {
        fix: "Give pairs of a prompt and a completion.",
      });
    const { encoder, decoder, heads: H, headSize, buckets: count, maxDistance } = t5;
    const normed = (name: string, x: Tensor): Tensor => rmsNorm(x, modules.tensor(`${name}.weight`), t5.epsilon);

    // x (B·T, D) looks at seen (B·S, D).
    const attend = (module: string, x: Tensor, seen: Tensor, layer: number, how: Attention, positionBias?: PositionBias): Tensor => {
      const [B] = ids.shape;
      const split = (name: string, y: Tensor): Tensor =>
        transpose(reshape(modules.linear(`${module}.${name}`, y), [B, -1, H, headSize]), [0, 2, 1, 3]); // (B, H, T, headSize)
      const attended = how.attend(layer, split("q", x), split("k", seen), split("v", seen), {
        scale: 1,
        ...(positionBias && { positionBias }),
      });
      return modules.linear(`${module}.o`, reshape(attended, [-1, H * headSize]));
    };
    const feedForward = (module: string, x: Tensor): Tensor => {
      const inner = (t5.isGated ? ["wi_0", "wi_1"] : ["wi"]).map((name) => modules.linear(`${module}.${name}`, x)); // (B·T, F) each
      const [gate, up] = inner;
      return recomputed(modules, inner, () => {
        const activated = t5.activation(gate);
        return modules.linear(`${module}.wo`, up === undefined ? activated : multiply(activated, up));
      });
    };

    // `seen` is what cross-attention looks at, with the way it does so.
    const run = (stack: Stack, tokens: Tensor, self: Attention, seen?: { readonly encoded: Tensor; readonly cross: Attention }): Tensor => {
      const table = modules.embedding(biasModule(stack), integers(Array.from({ length: count }, (_, bucket) => bucket))); // (buckets, H)
      const bias = bucketedBias(table, { count, maxDistance, bothWays: stack === encoder });
      const sublayers: Record<Kind, (module: string, x: Tensor, layer: number) => Tensor> = {
        SelfAttention: (module, x, layer) => attend(module, x, x, layer, self, bias),
        EncDecAttention: (module, x, layer) => attend(module, x, seen!.encoded, layer, seen!.cross),
        DenseReluDense: feedForward,
      };
      const block = (x: Tensor, layer: number): Tensor =>
        stack.kinds.reduce((y, kind, place) => {
          const name = sublayerName(stack, layer, place);
          return add(y, sublayers[kind](`${name}.${kind}`, normed(`${name}.layer_norm`, y), layer));
        }, x);
      let hidden = modules.embedding(`${stack.name}.embed_tokens`, tokens); // (B·T, D)
      for (let layer = 0; layer < stack.layers; layer++) {
        const sources = seen === undefined ? [hidden] : [hidden, seen.encoded];
        hidden = recompute ? recomputed(modules, sources, () => block(sources[0], layer)) : block(hidden, layer);
      }
      return normed(`${stack.name}.final_layer_norm`, hidden);
    };

    const encoded = run(encoder, source.ids, source.attention);
    return scale(run(decoder, ids, attention, { encoded, cross: source.cross }), t5.outputScale);
  };

export interface T5Defaults {
  readonly type: string;
  /** The activation of the feed-forward block, with "gated-" before it where a second projection gates it. */
  readonly projection: string;
  /** Whether a head that is the embedding reads hidden states times d^−½. */
  readonly scalesTied: boolean;
}

// `dense_act_fn` and `is_gated_act`, which files hold beside it, say the same unless somebody changed them; then they count.
const activationsOf = (read: ConfigReader, projection: string, where: string): Pick<T5, "activation" | "isGated"> => {
  const name = read.string("feed_forward_proj", projection);
  const isGated = name.startsWith("gated-");
  const base = name === "gated-gelu" ? "gelu_new" : isGated ? name.slice("gated-".length) : name;
  const known = Object.keys(activations) as (keyof typeof activations)[];
  if (!known.some((activation) => activation === base))
    throw new LowrankError("unsupported", `"feed_forward_proj" is "${name}"; offered, also with "gated-": ${known.join(", ")}.`, { where });
  return {
    activation: activationOf(read, "dense_act_fn", base as keyof typeof activations),
    isGated: read.boolean("is_gated_act", isGated),
  };
};

/** A family of T5's kind, with what it takes missing keys for. */
export const t5Family =
  ({ type, projection, scalesTied }: T5Defaults): Family =>
  (config, where) => {
    const read = configReader(config, where);
    const D = read.size("d_model", 512);
    const V = read.size("vocab_size", 32_128);
    const layers = read.size("num_layers", 6);
    const tied = read.boolean("tie_word_embeddings", true);
    // Before there was a key for it, a head of its own told version 1.1, which does not scale.
    const isScaled = read.boolean("scale_decoder_outputs", tied && scalesTied);
    const t5: T5 = {
      encoder: { name: "encoder", layers, kinds: ["SelfAttention", "DenseReluDense"] },
      decoder: {
        name: "decoder",
        layers: read.size("num_decoder_layers", layers),
        kinds: ["SelfAttention", "EncDecAttention", "DenseReluDense"],
      },
      hiddenSize: D,
      innerSize: read.size("d_ff", 2048),
      heads: read.size("num_heads", 8),
      headSize: read.size("d_kv", 64),
      buckets: read.size("relative_attention_num_buckets", 32),
      maxDistance: read.size("relative_attention_max_distance", 128),
      epsilon: read.number("layer_norm_epsilon", 1e-6),
      ...activationsOf(read, projection, where),
      outputScale: isScaled ? D ** -0.5 : 1,
      initialFactor: read.number("initializer_factor", 1),
    };
    const embedding = "shared";
    const languageModel = { hiddenSize: D, vocabularySize: V, tiedTo: tied ? embedding : undefined, deviation: t5.initialFactor };
    const { head, linears, aliases, ...rest } = headOf(
      config,
      where,
      { ForConditionalGeneration: () => languageModelHead({ ...languageModel, task: "SEQ_2_SEQ_LM" }) },
      "ForConditionalGeneration",
    );
    const stacks = [t5.encoder, t5.decoder];
    const parts = stacks.map((stack) => stackParts(t5, stack));
    return {
      type,
      // Said outright, because it must not change where the head stops being the embedding.
      config: { ...config, scale_decoder_outputs: isScaled },
      vocabularySize: V,
      hiddenSize: D,
      maxPositions: Infinity,
      layers: t5.decoder.layers,
      cache: { heads: t5.heads, headSize: t5.headSize },
      windows: [Infinity],
      parameters: [
        { name: `${embedding}.weight`, shape: [V, D], start: { normal: t5.initialFactor } },
        ...parts.flatMap((part) => part.parameters),
        ...head.parameters,
      ],
      linears: [...parts.flatMap((part) => part.linears), ...linears],
      // Encoder, decoder and head read one table, which files of this family cannot tell apart.
      embeddings: [
        { module: embedding, rows: V, width: D, isTokens: true },
        ...stacks.flatMap((stack) => [
          { module: `${stack.name}.embed_tokens`, rows: V, width: D, isTokens: false },
          { module: biasModule(stack), rows: t5.buckets, width: t5.heads, isTokens: false },
        ]),
      ],
      aliases: { ...Object.fromEntries(stacks.map(({ name }) => [`${name}.embed_tokens.weight`, `${embedding}.weight`])), ...aliases },
      ...rest,
      head,
      mask: causalMask,
      decoderStart: read.integer("decoder_start_token_id", read.integer("pad_token_id", 0)),
      forward: forwardOf(t5),
    };
  };

export const t5 = t5Family({ type: "t5", projection: "relu", scalesTied: true });
