/** @file Rotary position tables, with the scalings that configurations name. It knows nothing about attention. */
import { constant, type Tensor } from "../graph/index.ts";
import { f32, LowrankError } from "../util/index.ts";

/** Rotary settings of a checkpoint: the base θ and how its frequencies are scaled. */
export interface RopeSettings {
  readonly theta: number;
  readonly scaling: Readonly<Record<string, unknown>> | null;
}

type Scaling = (frequency: number, settings: Readonly<Record<string, number>>) => number;

// Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended.
const llama3: Scaling = (frequency, settings) => {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = settings;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const smooth = (original / wavelength - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
};

const scalings: Readonly<Record<string, { needs: readonly string[]; scale: Scaling }>> = {
  default: { needs: [], scale: (frequency) => frequency },
  linear: { needs: ["factor"], scale: (frequency, { factor }) => frequency / factor },
  llama3: { needs: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"], scale: llama3 },
};

/** One frequency per pair of dimensions: θ^(−2i/D), scaled; float32 as the reference computes it. */
export const ropeFrequencies = ({ theta, scaling }: RopeSettings, headSize: number): Float32Array => {
  const type = typeof scaling?.["type"] === "string" ? scaling["type"] : "default";
  const rule = scalings[type];
  if (rule === undefined)
    throw new LowrankError("unsupported", `The rotary scaling "${type}" is not offered; known: ${Object.keys(scalings).join(", ")}.`, {
      where: "rope_scaling",
    });
  const settings = (scaling ?? {}) as Readonly<Record<string, number>>;
  for (const key of rule.needs)
    if (typeof settings[key] !== "number")
      throw new LowrankError("invalid-config", `The rotary scaling "${type}" needs the number "${key}".`, { where: "rope_scaling" });
  return Float32Array.from({ length: headSize / 2 }, (_, i) => rule.scale(1 / Math.fround(theta ** ((2 * i) / headSize)), settings));
};

/** Tables cos and sin, each (positions, D/2). */
export const ropeTables = (frequencies: Float32Array, positions: number): { cos: Tensor; sin: Tensor } => {
  const half = frequencies.length;
  const table = (value: (angle: number) => number): Tensor =>
    constant(
      f32(
        Float32Array.from({ length: positions * half }, (_, index) =>
          value(Math.fround(Math.floor(index / half) * frequencies[index % half])),
        ),
        [positions, half],
      ),
    );
  return { cos: table(Math.cos), sin: table(Math.sin) };
};
