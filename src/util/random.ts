/** @file Seeded random numbers: the same seed and stream give the same values on every machine. It keeps no global state. */

/** The four words of a generator, which can be stored and restored. */
export type RandomState = readonly [number, number, number, number];

/** A generator: draws change it, `state` saves it. */
export interface Random {
  /** A float64 in [0, 1) with 32 random bits. */
  uniform(): number;
  /** A standard normal number. */
  normal(): number;
  /** An integer in [0, limit). */
  integer(limit: number): number;
  state(): RandomState;
}

// splitmix32's finaliser, so that nearby seeds give unrelated words.
const mix = (value: number): number => {
  let z = value | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
};

/** One 32-bit word for a list of integers, for example (seed, step, layer). */
export const hash = (...parts: readonly number[]): number => {
  let state = 0x9e3779b9;
  for (const part of parts) {
    state = mix(state + mix(part >>> 0) + 0x9e3779b9);
    state = mix(state ^ Math.floor(part / 2 ** 32));
  }
  return state;
};

/** A 32-bit word for a text, for example a module name. */
export const hashText = (text: string): number => hash(...Array.from(text, (character) => character.codePointAt(0)!));

/** A generator at a stored state (xoshiro128**, Blackman and Vigna 2018). */
export const restoreRandom = (state: RandomState): Random => {
  let [a, b, c, d] = state;
  const next = (): number => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  const uniform = (): number => next() / 2 ** 32;
  return {
    uniform,
    // Box and Muller 1958; 1 − u keeps the logarithm finite. The second number is not kept, so that the state is the whole story.
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    integer: (limit) => Math.floor(uniform() * limit),
    state: () => [a >>> 0, b >>> 0, c >>> 0, d >>> 0],
  };
};

/** A generator for a seed and a stream within it, for example `random(seed, hashText("data-order"), epoch)`. */
export const random = (seed: number, ...stream: readonly number[]): Random =>
  restoreRandom([hash(seed, ...stream, 1), hash(seed, ...stream, 2), hash(seed, ...stream, 3), hash(seed, ...stream, 4) | 1]);

/** The numbers 0 … count − 1 in a random order (Fisher and Yates). */
export const permutation = (count: number, generator: Random): Uint32Array => {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = generator.integer(index + 1);
    [order[index], order[other]] = [order[other], order[index]];
  }
  return order;
};
