/**
 * @file Dropout on what an adapter reads, as a function of (seed, step, module), so that a resumed run repeats it.
 * Each step feeds one pool of factors, 0 or 1/(1 − p); each module reads it from an offset of its own. It knows nothing about training.
 */
import { input, multiply, reshape, slice, type Tensor } from "../graph/index.ts";
import { hash, hashText, random, sizeOf } from "../util/index.ts";

/** What an adapter on `module` sees of its input x (N, in). */
export type Dropout = (module: string, x: Tensor) => Tensor;

/** The name of the pool among a program's inputs. */
export const dropoutInput = "dropout";

/** Elements in the pool for a widest input of `largest` elements: twice as many, so that modules read different stretches. */
export const poolSize = (largest: number): number => 2 * largest;

/** Dropout that reads the program's pool. */
export const pooledDropout = (largest: number): Dropout => {
  const pool = input(dropoutInput, [poolSize(largest)]);
  return (module, x) => {
    const size = sizeOf(x.shape);
    const start = hash(hashText(module)) % (poolSize(largest) - size + 1);
    return multiply(x, reshape(slice(pool, 0, start, start + size), x.shape));
  };
};

/** The pool of one step. */
export const dropoutPool = (largest: number, probability: number, seed: number, step: number): Float32Array => {
  const generator = random(seed, hashText("dropout"), step);
  const kept = 1 / (1 - probability);
  return Float32Array.from({ length: poolSize(largest) }, () => (generator.uniform() < probability ? 0 : kept));
};
