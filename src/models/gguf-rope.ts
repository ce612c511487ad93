/** @file Rotary settings as GGUF metadata and tensors. It knows nothing about files or families. */
import { configReader, gguf, type GgufValue } from "../formats/index.ts";
import type { Rope } from "../nn/index.ts";
import { LowrankError } from "../util/index.ts";
import type { GgufDescription } from "./gguf.ts";

type Entries = Readonly<Record<string, GgufValue>>;
type Expressed = { readonly metadata: Entries; readonly tensors?: Readonly<Record<string, Float32Array>>; readonly note?: string };
type Expression = (rope: Rope) => Expressed;

const typed = (type: string, more: Entries): Entries => ({ "rope.scaling.type": gguf.string(type), ...more });
const readerOf = ({ settings }: Rope) => configReader(settings.scaling ?? {}, "rope_scaling");

const linear: Expression = (rope) => ({ metadata: typed("linear", { "rope.scaling.factor": gguf.f32(readerOf(rope).number("factor")) }) });

// What the scaled frequencies are divided from, pair by pair.
const llama3: Expression = ({ settings, frequencies }) => {
  const scaled = frequencies(1);
  const factors = scaled.map((frequency, pair) => settings.theta ** ((-2 * pair) / settings.dimensions) / frequency);
  return { metadata: {}, tensors: { "rope_freqs.weight": factors } };
};

const yarn: Expression = (rope) => {
  const { settings, magnitude } = rope;
  const read = readerOf(rope);
  const original = read.size("original_max_position_embeddings", settings.maxPositions);
  const factor = read.number("factor", settings.maxPositions / original);
  const usual = factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1;
  if (!read.boolean("truncate", true) || Math.abs(magnitude - usual) > 1e-6)
    throw new LowrankError("unsupported", "GGUF has YaRN with whole bounds and its usual temperature alone.", { where: "rope_scaling" });
  return {
    metadata: typed("yarn", {
      "rope.scaling.factor": gguf.f32(factor),
      "rope.scaling.original_context_length": gguf.u32(original),
      "rope.scaling.yarn_beta_fast": gguf.f32(read.number("beta_fast", 32)),
      "rope.scaling.yarn_beta_slow": gguf.f32(read.number("beta_slow", 1)),
    }),
  };
};

const longrope: Expression = (rope) => {
  const { settings, boundary, magnitude } = rope;
  const factors = (key: string): Float32Array => Float32Array.from(settings.scaling![key] as number[]);
  return {
    metadata: typed("longrope", {
      "rope.scaling.original_context_length": gguf.u32(boundary!),
      "rope.scaling.attn_factor": gguf.f32(magnitude),
    }),
    tensors: { "rope_factors_long.weight": factors("long_factor"), "rope_factors_short.weight": factors("short_factor") },
    note: `llama.cpp turns positions as in long texts wherever its context is longer than ${boundary} tokens; here the text's own length decides.`,
  };
};

const expressions = { linear, llama3, yarn, longrope } satisfies Readonly<Record<string, Expression>>;

/** Scalings that GGUF can express. */
export type GgufScaling = keyof typeof expressions;

/** Metadata and tensors of a rotary embedding; a scaling that is not among the offered ones is refused by name. */
export const ropeDescription = (rope: Rope, offered: readonly GgufScaling[]): GgufDescription => {
  const { theta, dimensions, scaling } = rope.settings;
  const metadata = { "rope.freq_base": gguf.f32(theta), "rope.dimension_count": gguf.u32(dimensions) };
  const type = offered.find((name) => name === scaling?.["type"]);
  if (scaling !== null && type === undefined)
    throw new LowrankError("unsupported", `llama.cpp has no rotary scaling "${String(scaling["type"])}" for this architecture.`, {
      where: "rope_scaling",
    });
  const expressed: Expressed = type === undefined ? { metadata: {} } : expressions[type](rope);
  return {
    metadata: new Map(Object.entries({ ...metadata, ...expressed.metadata })),
    tensors: new Map(Object.entries(expressed.tensors ?? {})),
    notes: expressed.note === undefined ? [] : [expressed.note],
  };
};
