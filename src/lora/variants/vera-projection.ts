/**
 * @file The shared A and B of VeRA as PEFT draws them from a key, bit for bit: uniform within ±√6/√fan by He et al. 2015, from PyTorch's generator.
 * It knows nothing about layers.
 */
import { mersenneTwister } from "../../util/index.ts";

/** The next values of a tensor whose rows have `fan` entries in files, (rows, fan), as PyTorch makes them of 24 random bits each. */
const drawn = (draw: () => number, rows: number, fan: number): Float32Array => {
  const bound = Math.sqrt(3) * (Math.sqrt(2) / Math.sqrt(fan));
  const [from, to] = [Math.fround(-bound), Math.fround(bound)];
  const range = Math.fround(to - from);
  return Float32Array.from({ length: rows * fan }, () => (draw() & 0xff_ffff) * 2 ** -24 * range + from);
};

/** A in files, (r, in), and B in files, (out, r). */
export const veraProjections = (
  key: number,
  { r, inFeatures, outFeatures }: { readonly r: number; readonly inFeatures: number; readonly outFeatures: number },
): { readonly A: Float32Array; readonly B: Float32Array } => {
  const draw = mersenneTwister(key);
  return { A: drawn(draw, r, inFeatures), B: drawn(draw, outFeatures, r) };
};
