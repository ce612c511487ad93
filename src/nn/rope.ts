/** @file Rotary position embedding: frequencies, the scalings that configurations name, and tables. It knows nothing about attention. */
import { configReader } from "../formats/index.ts";
import { concat, constant, equal, gather, max, rotary, scalar, slice, where, type Tensor } from "../graph/index.ts";
import { f32, LowrankError, roundTo, type Half } from "../util/index.ts";

/** Rotary settings of a checkpoint. */
export interface RopeSettings {
  /** θ of the frequencies θ^(−2i/D). */
  readonly theta: number;
  /** The scaling's `type` with its own keys; null for none. */
  readonly scaling: Readonly<Record<string, unknown>> | null;
  /** D: how many dimensions of a head are turned, the first ones. */
  readonly dimensions: number;
  /** How many positions the model is made for. */
  readonly maxPositions: number;
}

/** Settings worked out. */
export interface Rope {
  /** What they were. */
  readonly settings: RopeSettings;
  /** One frequency per pair of dimensions, for a sequence of that many tokens. */
  readonly frequencies: (length: number) => Float32Array;
  /** Where shorter and longer sequences have frequencies of their own, the greatest length of the shorter: a program looks at its positions. */
  readonly boundary?: number;
  /** Factor on cos and sin. */
  readonly magnitude: number;
}

type Scaling = (settings: RopeSettings) => Omit<Rope, "settings">;

const source = "rope_scaling";
const readerOf = ({ scaling }: RopeSettings) => configReader(scaling ?? {}, source);

// Wavelengths over 2π, rounded where the reference rounds, which works in float32.
const wavesOf = (theta: number, dimensions: number): number[] =>
  Array.from({ length: dimensions / 2 }, (_, i) => Math.fround(theta ** Math.fround((2 * i) / dimensions)));
const inverses = (waves: readonly number[]): Float32Array => Float32Array.from(waves, (wave) => 1 / wave);
const fixed = (frequencies: Float32Array, magnitude = 1): ReturnType<Scaling> => ({ frequencies: () => frequencies, magnitude });

const unscaled: Scaling = ({ theta, dimensions }) => fixed(inverses(wavesOf(theta, dimensions)));

// Position interpolation [Chen et al. 2023].
const linear: Scaling = (settings) => {
  const factor = readerOf(settings).number("factor");
  return fixed(inverses(wavesOf(settings.theta, settings.dimensions)).map((frequency) => frequency / factor));
};

// θ grows with the sequence beyond the positions that the model is made for.
const dynamic: Scaling = (settings) => {
  const { theta, dimensions, maxPositions } = settings;
  const factor = readerOf(settings).number("factor");
  return {
    frequencies: (length) => {
      const stretch = (factor * Math.max(length, maxPositions)) / maxPositions - (factor - 1);
      return inverses(wavesOf(theta * stretch ** (dimensions / (dimensions - 2)), dimensions));
    },
    magnitude: 1,
  };
};

// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended.
const llama3: Scaling = (settings) => {
  const read = readerOf(settings);
  const factor = read.number("factor");
  const low = read.number("low_freq_factor");
  const high = read.number("high_freq_factor");
  const original = read.size("original_max_position_embeddings", settings.maxPositions);
  const frequencies = wavesOf(settings.theta, settings.dimensions).map((wave) => {
    const turns = original / (2 * Math.PI * wave);
    if (turns > high) return 1 / wave;
    if (turns < low) return 1 / wave / factor;
    const smooth = (turns - low) / (high - low);
    return (1 - smooth) / wave / factor + smooth / wave;
  });
  return fixed(Float32Array.from(frequencies));
};

// YaRN [Peng et al. 2023, §3]: by how often a pair turns within the original positions, it is kept, interpolated, or between.
const yarn: Scaling = (settings) => {
  const { theta, dimensions, maxPositions } = settings;
  const read = readerOf(settings);
  const original = read.size("original_max_position_embeddings", maxPositions);
  const factor = read.number("factor", maxPositions / original);
  const pairOf = (turns: number): number => (dimensions * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const bounds = [pairOf(read.number("beta_fast", 32)), pairOf(read.number("beta_slow", 1))];
  const [low, high] = read.boolean("truncate", true) ? [Math.floor(bounds[0]), Math.ceil(bounds[1])] : bounds;
  const first = Math.max(low, 0);
  const end = Math.min(high, dimensions - 1);
  const width = end === first ? 0.001 : end - first;
  const frequencies = wavesOf(theta, dimensions).map((wave, pair) => {
    const interpolated = Math.min(Math.max((pair - first) / width, 0), 1);
    return interpolated / (factor * wave) + (1 - interpolated) / wave;
  });
  const temperature = (strength: number): number => (factor <= 1 ? 1 : 0.1 * strength * Math.log(factor) + 1);
  const strengths = [read.number("mscale", 0), read.number("mscale_all_dim", 0)];
  const inferred = strengths.every((strength) => strength !== 0) ? temperature(strengths[0]) / temperature(strengths[1]) : temperature(1);
  return fixed(Float32Array.from(frequencies), read.number("attention_factor", inferred));
};

// LongRoPE [Ding et al. 2024]: factors found by search for each pair, one list for short sequences and one for long ones.
const longrope: Scaling = (settings) => {
  const { theta, dimensions, maxPositions, scaling } = settings;
  const read = readerOf(settings);
  const boundary = read.size("original_max_position_embeddings", maxPositions);
  const factor = read.number("factor", maxPositions / boundary);
  const waves = wavesOf(theta, dimensions);
  const scaled = (key: string): Float32Array => {
    const factors = scaling?.[key];
    if (!Array.isArray(factors) || factors.length !== waves.length || !factors.every(Number.isFinite))
      throw new LowrankError("invalid-config", `"${key}" must be a list of ${waves.length} numbers, one for each pair of dimensions.`, {
        where: source,
      });
    return inverses(waves.map((wave, pair) => Math.fround(Math.fround(factors[pair] as number) * wave)));
  };
  const short = scaled("short_factor");
  const long = scaled("long_factor");
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(boundary));
  return {
    frequencies: (length) => (length > boundary ? long : short),
    boundary,
    magnitude: read.number("attention_factor", inferred),
  };
};

const scalings: Readonly<Record<string, Scaling>> = { default: unscaled, linear, dynamic, llama3, yarn, longrope };

/** Works settings out; throws `unsupported` with the name of an unknown scaling. */
export const ropeWith = (settings: RopeSettings): Rope => {
  const type = settings.scaling === null ? "default" : String(settings.scaling["type"]);
  if (!Object.hasOwn(scalings, type))
    throw new LowrankError("unsupported", `The rotary scaling "${type}" is not offered; known: ${Object.keys(scalings).join(", ")}.`, {
      where: source,
    });
  return { settings, ...scalings[type](settings) };
};

/**
 * The embedding after its frequencies were rounded to 16 bits: those that it starts with, which PyTorch keeps in a buffer. Frequencies
 * that longer sequences need are worked out when they come, and so are not rounded.
 */
export const roundedRope = (rope: Rope, half: Half): Rope => {
  const kept = rope.frequencies(1);
  const rounded = roundTo(half, kept);
  return {
    ...rope,
    frequencies: (length) => {
      const wanted = rope.frequencies(length);
      return wanted.every((frequency, pair) => frequency === kept[pair]) ? rounded : wanted;
    },
  };
};

/** cos and sin, each (positions, D/2). */
export interface RopeTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

const fixedTables = (frequencies: Float32Array, magnitude: number, count: number): RopeTables => {
  const half = frequencies.length;
  const table = (value: (angle: number) => number): Tensor => {
    const at = (_: unknown, index: number): number => value(Math.fround(Math.floor(index / half) * frequencies[index % half])) * magnitude;
    return constant(f32(Float32Array.from({ length: count * half }, at), [count, half]));
  };
  return { cos: table(Math.cos), sin: table(Math.sin) };
};

/** Tables for a program whose positions (B, T) int64 lie below `count`. */
export const ropeTables = ({ frequencies, boundary, magnitude }: Rope, positions: Tensor, count: number): RopeTables => {
  const long = fixedTables(frequencies(count), magnitude, count);
  if (boundary === undefined || count <= boundary) return long;
  const short = fixedTables(frequencies(boundary), magnitude, count);
  const beyond = constant(
    f32(
      Float32Array.from({ length: count }, (_, position) => Number(position >= boundary)),
      [count],
    ),
  );
  const isLong = equal(max(gather(beyond, positions), [0, 1]), scalar(1)); // (1, 1)
  return { cos: where(isLong, long.cos, short.cos), sin: where(isLong, long.sin, short.sin) };
};

/** Turns the first dimensions of each head vector, as many as the tables have, and leaves the rest; x (B, H, T, D). */
export const turn = (x: Tensor, positions: Tensor, { cos, sin }: RopeTables): Tensor => {
  const size = x.shape[3];
  const turned = 2 * cos.shape[1];
  if (turned === size) return rotary(x, positions, cos, sin);
  return concat([rotary(slice(x, 3, 0, turned), positions, cos, sin), slice(x, 3, turned, size)], 3);
};
