/** @file Reads what the configurations of Llama-like decoders have in common into a description; families change what is theirs. It knows no family by name. */
import { configReader, ropeOf, type ConfigReader } from "../formats/index.ts";
import { activations, ropeWith, softcap, type Activation, type Rope } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Decoder } from "./decoder.ts";

type Config = Readonly<Record<string, unknown>>;

/** What a family takes a missing key for. */
export interface DecoderDefaults {
  /** Default: the hidden size shared among the heads. */
  readonly headSize?: number;
  /** Default: as many as there are query heads. */
  readonly keyValueHeads?: number;
  /** Default 1e-6. */
  readonly epsilon?: number;
  readonly maxPositions: number;
  /** Default no. */
  readonly tied?: boolean;
}

/** The activation that a key names, one of `activations`. */
export const activationOf = (read: ConfigReader, key: string, fallback: keyof typeof activations): Activation =>
  activations[read.oneOf(key, Object.keys(activations) as (keyof typeof activations)[], fallback)];

/** Throws `unsupported` where a key has any value but the one that the family's forward pass has. */
export const requireValue = (config: Config, key: string, value: unknown, where: string): void => {
  const found = config[key] ?? value;
  if (found !== value)
    throw new LowrankError("unsupported", `"${key}" is ${JSON.stringify(found)}; offered: ${JSON.stringify(value)}.`, { where });
};

/** A number that null switches off, which is another thing than a missing key. */
export const optional = (config: Config, key: string, fallback: number | null, where: string): number | undefined =>
  configReader(config, where).number(key, Object.hasOwn(config, key) ? null : fallback) ?? undefined;

/** The soft cap on logits as a model's `finish`. */
export const cappedLogits = (cap: number | undefined): Decoder["finish"] =>
  cap === undefined ? undefined : (logits) => softcap(logits, cap);

const isRecord = (value: unknown): value is Config => typeof value === "object" && value !== null;

export interface RopeOptions {
  /** Base where the configuration has none; default 10000. */
  readonly theta?: number;
  /** Whether the family may turn a share of each head's dimensions; default no. */
  readonly partial?: boolean;
}

/** The rotary embedding that a configuration means. */
export const decoderRope = (
  { config, headSize, maxPositions }: Pick<Decoder, "config" | "headSize" | "maxPositions">,
  where: string,
  { theta = 10_000, partial = false }: RopeOptions = {},
): Rope => {
  const read = configReader(config, where);
  const { theta: base, scaling } = ropeOf({ ...config, rope_theta: config["rope_theta"] ?? theta }, where);
  const settings = isRecord(config["rope_parameters"]) ? config["rope_parameters"] : {};
  const share = configReader(settings, where).number("partial_rotary_factor", read.number("partial_rotary_factor", 1));
  if (!partial) requireValue({ partial_rotary_factor: share }, "partial_rotary_factor", 1, where);
  // A key of the configuration itself goes before the scaling's own.
  const original = config["original_max_position_embeddings"] ?? scaling?.["original_max_position_embeddings"];
  return ropeWith({
    theta: base,
    scaling: scaling && { ...scaling, original_max_position_embeddings: original },
    dimensions: Math.floor(headSize * share),
    maxPositions,
  });
};

const kinds = ["full_attention", "sliding_attention"];

/** Kinds of the layers: `layer_types`, or what `isSliding` says of each where the configuration has none. */
export const slidingLayers = (config: Config, where: string, layers: number, isSliding: (layer: number) => boolean): readonly boolean[] => {
  const types = config["layer_types"] ?? Array.from({ length: layers }, (_, layer) => kinds[Number(isSliding(layer))]);
  if (!Array.isArray(types) || types.length !== layers)
    throw new LowrankError("invalid-config", `"layer_types" must be a list of ${layers} kinds, one for each layer.`, { where });
  const unknown: unknown = types.find((type) => !kinds.includes(type as string));
  if (unknown !== undefined)
    throw new LowrankError("unsupported", `"layer_types" has ${JSON.stringify(unknown)}; offered: ${kinds.join(", ")}.`, { where });
  return types.map((type) => type === "sliding_attention");
};

/** `sliding_window`: undefined where null says that there is none, which is another thing than a missing key. */
export const slidingWindow = (config: Config, where: string, fallback: number | null): number | undefined =>
  configReader(config, where).size("sliding_window", Object.hasOwn(config, "sliding_window") ? null : fallback) ?? undefined;

/** The window of each layer, which is needed where a layer slides. */
export const windowsOf = (window: number | undefined, sliding: readonly boolean[], where: string): Decoder["window"] => {
  if (window === undefined && sliding.includes(true))
    throw new LowrankError("invalid-config", 'There are layers with a window and no "sliding_window" in use.', { where });
  return (layer) => (sliding[layer] ? window! : Infinity);
};

/** A description with the values of Llama, from the keys that all such configurations share. */
export const readDecoder = (type: string, config: Config, where: string, defaults: DecoderDefaults): Decoder => {
  const read = configReader(config, where);
  const hiddenSize = read.size("hidden_size");
  const heads = read.size("num_attention_heads");
  // Null says as many as there are heads; a missing key, what the family's first release had.
  const groups = Object.hasOwn(config, "num_key_value_heads") ? heads : (defaults.keyValueHeads ?? heads);
  const keyValueHeads = read.size("num_key_value_heads", groups);
  const headSize = read.size("head_dim", defaults.headSize ?? hiddenSize / heads);
  if (heads % keyValueHeads !== 0)
    throw new LowrankError("invalid-config", `num_attention_heads ${heads} is no multiple of num_key_value_heads ${keyValueHeads}.`, {
      where,
    });
  const attention = read.boolean("attention_bias", false);
  return {
    type,
    config,
    where,
    vocabularySize: read.size("vocab_size"),
    hiddenSize,
    innerSize: read.size("intermediate_size"),
    layers: read.size("num_hidden_layers"),
    heads,
    keyValueHeads,
    headSize,
    maxPositions: read.size("max_position_embeddings", defaults.maxPositions),
    tied: read.boolean("tie_word_embeddings", defaults.tied ?? false),
    deviation: read.number("initializer_range", 0.02),
    biases: { qkv: attention, output: attention, mlp: read.boolean("mlp_bias", false) },
    fused: false,
    norms: { beforeAttention: "input_layernorm", beforeMlp: "post_attention_layernorm" },
    epsilon: read.number("rms_norm_eps", defaults.epsilon ?? 1e-6),
    gainOffset: 0,
    activation: activationOf(read, "hidden_act", "silu"),
    rope: () => undefined,
    window: () => Infinity,
    scoreScale: headSize ** -0.5,
    embeddingScale: 1,
    residualScale: 1,
  };
};
