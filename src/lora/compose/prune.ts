/** @file Two ways to make a tensor sparse before it is mixed with others: by size, and at random. It knows nothing about adapters. */
import type { Random } from "../../util/index.ts";

/** What a share of a tensor's elements survives by; `density` from 0 to 1 is that share. */
export type Prune = (tensor: Float32Array, density: number, generator: Random) => Float32Array;

/** The ⌊density · n⌋ elements of the greatest size; among equals the first stay [Yadav et al. 2023, §3.2 "trim"]. */
export const pruneBySize: Prune = (tensor, density) => {
  const count = Math.floor(density * tensor.length);
  if (count >= tensor.length) return tensor;
  const sizes = tensor.map(Math.abs);
  const threshold = count === 0 ? Infinity : sizes.slice().sort()[tensor.length - count];
  let equals = count - sizes.reduce((above, size) => above + Number(size > threshold), 0);
  return tensor.map((value, index) => (sizes[index] > threshold || (sizes[index] === threshold && equals-- > 0) ? value : 0));
};

/** Each element with probability `density`, divided by it, so that the mean stays [Yu et al. 2024, eq. 2: DARE]. */
export const pruneAtRandom: Prune = (tensor, density, generator) =>
  density >= 1 ? tensor : tensor.map((value) => (generator.uniform() < density ? value / density : 0));
