/** @file How decoders of the Llama kind lie in GGUF files, from their description. It knows no family by name. */
import { gguf, type GgufValue } from "../formats/index.ts";
import type { Activation } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Decoder } from "./decoder.ts";
import { ropeDescription, type GgufScaling } from "./gguf-rope.ts";
import type { GgufDescription, GgufLayout, GgufPlace } from "./gguf.ts";

/** What llama.cpp computes for an architecture, where that differs among families. */
export interface DecoderGguf {
  readonly architecture: string;
  /** Whether it turns neighbouring dimensions together instead of those half a head apart. */
  readonly interleaved: boolean;
  readonly activation: Activation;
  readonly scalings: readonly GgufScaling[];
  /** Biases that it reads; default none. */
  readonly biases?: readonly (keyof Decoder["biases"])[];
  /** Every so manyth layer sees all keys and the others a window; default none has a window. */
  readonly windowPeriod?: number;
  /** Every so manyth layer has no rotary embedding; default each has one. */
  readonly ropePeriod?: number;
  /** Factor on q·kᵀ; default one over the root of the head's size. */
  readonly scoreScale?: number;
  /** Metadata that only this architecture has. */
  readonly metadata?: Readonly<Record<string, GgufValue>>;
  /** Whether it reads a head of its own; default yes. Otherwise the embedding is the head. */
  readonly readsHead?: boolean;
  /** Whether it needs the head's weights even where they are the embedding's; default no. */
  readonly repeatsTiedHead?: boolean;
  /** How it computes the model where that is not as this configuration has it; default as it has it. */
  readonly obstacle?: string;
}

const layerNames: Readonly<Record<string, string | undefined>> = {
  q_proj: "attn_q",
  k_proj: "attn_k",
  v_proj: "attn_v",
  qkv_proj: "attn_qkv",
  o_proj: "attn_output",
  q_norm: "attn_q_norm",
  k_norm: "attn_k_norm",
  gate_proj: "ffn_gate",
  up_proj: "ffn_up",
  gate_up_proj: "ffn_up",
  down_proj: "ffn_down",
};

const placeOf =
  (decoder: Decoder, { interleaved, readsHead = true }: DecoderGguf): GgufLayout["place"] =>
  (parameter) => {
    const { norms, heads, keyValueHeads, gainOffset, tied } = decoder;
    const dot = parameter.lastIndexOf(".");
    const [module, suffix] = [parameter.slice(0, dot), parameter.slice(dot)];
    const gain = (name: string): GgufPlace => ({ name: `${name}${suffix}`, ...(gainOffset === 1 && { shift: 1 }) });
    // Where it is the head as well, llama.cpp multiplies with the factors for ids there, and aborts.
    if (module === "model.embed_tokens") return { name: `token_embd${suffix}`, lookedUp: true, ...(tied && { adapts: false }) };
    if (module === "lm_head") return readsHead ? { name: `output${suffix}` } : undefined;
    if (module === "model.norm") return gain("output_norm");
    const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(module) ?? [];
    if (part === undefined) return undefined;
    const layerNorms = new Map([
      [norms.beforeAttention, "attn_norm"],
      [norms.afterAttention, "post_attention_norm"],
      [norms.beforeMlp, "ffn_norm"],
      [norms.afterMlp, "post_ffw_norm"],
    ]);
    const norm = layerNorms.get(part);
    if (norm !== undefined) return gain(`blk.${layer}.${norm}`);
    const name = part.replace(/^(self_attn|mlp)\./, "");
    const found = layerNames[name];
    if (found === undefined) return undefined;
    if (name.endsWith("_norm")) return gain(`blk.${layer}.${found}`);
    const turnedHeads = { q_proj: heads, k_proj: keyValueHeads }[name];
    return { name: `blk.${layer}.${found}${suffix}`, ...(interleaved && turnedHeads !== undefined && { interleavedHeads: turnedHeads }) };
  };

/** Metadata of the windows, and how far the context reaches until llama.cpp sees other keys than the model. */
const windowsOf = ({ window, layers, maxPositions }: Decoder, { windowPeriod }: DecoderGguf) => {
  const windows = Array.from({ length: layers }, (_, layer) => window(layer));
  const least = Math.min(...windows, maxPositions);
  const inPeriod = windowPeriod !== undefined && windows.every((size, layer) => (layer + 1) % windowPeriod === 0 || size === windows[0]);
  const fullEnough = windows.every((size, layer) => windowPeriod === undefined || (layer + 1) % windowPeriod !== 0 || size >= maxPositions);
  const context = inPeriod && fullEnough ? maxPositions : least;
  return { context, ...(windowPeriod !== undefined && { window: least }) };
};

const check = (decoder: Decoder, family: DecoderGguf): void => {
  const { type, headSize, biases } = decoder;
  const refuse = (what: string): LowrankError =>
    new LowrankError("unsupported", `llama.cpp computes ${type} models ${what}.`, { where: "config.json" });
  if (family.obstacle !== undefined) throw refuse(family.obstacle);
  if (decoder.activation !== family.activation) throw refuse("with another activation than this model has");
  const scale = family.scoreScale ?? headSize ** -0.5;
  if (Math.abs(decoder.scoreScale / scale - 1) > 1e-6) throw refuse(`with scores times ${scale}, this model has ${decoder.scoreScale}`);
  const unread = (Object.keys(biases) as (keyof typeof biases)[]).find((kind) => biases[kind] && !(family.biases ?? []).includes(kind));
  if (unread !== undefined) throw refuse(`without biases on ${unread}`);
  for (let layer = 0; layer < decoder.layers; layer++)
    if ((decoder.rope(layer) === undefined) !== (family.ropePeriod !== undefined && (layer + 1) % family.ropePeriod === 0))
      throw refuse(`with rotary embedding in other layers than this model: layer ${layer} differs`);
};

const describe = (decoder: Decoder, family: DecoderGguf): GgufDescription => {
  check(decoder, family);
  const { layers, maxPositions } = decoder;
  const ropes = Array.from({ length: layers }, (_, layer) => ({ rope: decoder.rope(layer), window: decoder.window(layer) }));
  const full = ropes.find(({ rope, window }) => rope !== undefined && window === Infinity) ?? ropes.find(({ rope }) => rope !== undefined)!;
  const local = ropes.find(({ rope }) => rope !== undefined && rope !== full.rope);
  const { metadata: rotary, tensors, notes } = ropeDescription(full.rope!, family.scalings);
  const windows = windowsOf(decoder, family);
  const metadata: Readonly<Record<string, GgufValue>> = {
    context_length: gguf.u32(windows.context),
    embedding_length: gguf.u32(decoder.hiddenSize),
    block_count: gguf.u32(layers),
    feed_forward_length: gguf.u32(decoder.innerSize),
    "attention.head_count": gguf.u32(decoder.heads),
    "attention.head_count_kv": gguf.u32(decoder.keyValueHeads),
    "attention.key_length": gguf.u32(decoder.headSize),
    "attention.value_length": gguf.u32(decoder.headSize),
    "attention.layer_norm_rms_epsilon": gguf.f32(decoder.epsilon),
    vocab_size: gguf.u32(decoder.vocabularySize),
    ...Object.fromEntries(rotary),
    ...(local !== undefined && { "rope.freq_base_swa": gguf.f32(local.rope!.settings.theta) }),
    ...(windows.window !== undefined && { "attention.sliding_window": gguf.u32(windows.window) }),
    ...family.metadata,
  };
  return {
    metadata: new Map(Object.entries(metadata)),
    tensors,
    notes: [
      ...notes,
      ...(windows.context === maxPositions
        ? []
        : [`llama.cpp has no such attention windows: the file's context ends where they begin, at ${windows.context} tokens.`]),
    ],
  };
};

/** The layout that a description and its family mean. */
export const decoderLayout = (decoder: Decoder, family: DecoderGguf): GgufLayout => ({
  architecture: family.architecture,
  place: placeOf(decoder, family),
  ...(family.repeatsTiedHead && { repeatsTiedHead: true }),
  describe: () => describe(decoder, family),
});
