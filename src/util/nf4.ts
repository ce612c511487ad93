/** @file The 4-bit NormalFloat of QLoRA: sixteen levels, and blocks of values on them. It knows nothing about matrices or files. */

/**
 * Levels between −1 and 1 that normally distributed values fall on equally often, with an exact zero, as bitsandbytes stores them
 * [Dettmers et al. 2023, eq. 4 and appendix E].
 */
export const nf4Levels: Float32Array = Float32Array.of(
  -1,
  -0.6961928009986877,
  -0.5250730514526367,
  -0.39491748809814453,
  -0.28444138169288635,
  -0.18477343022823334,
  -0.09105003625154495,
  0,
  0.07958029955625534,
  0.16093020141124725,
  0.24611230194568634,
  0.33791524171829224,
  0.44070982933044434,
  0.5626170039176941,
  0.7229568362236023,
  1,
);

/** Values that share a scale. */
export const nf4BlockSize = 64;

/** Numbers of levels, two to a byte with the first in the upper half, and the largest size in each block, by which levels are multiplied. */
export interface Nf4 {
  readonly packed: Uint8Array;
  readonly absmax: Float32Array;
}

const between = Float32Array.from({ length: 15 }, (_, index) => (nf4Levels[index] + nf4Levels[index + 1]) / 2);

/** The number of the nearest level. */
const nearest = (value: number): number => {
  let level = 0;
  for (let step = 8; step > 0; step >>= 1) if (value > between[level + step - 1]) level += step;
  return level;
};

/** Rounds values to levels, block by block. */
export const packNf4 = (values: Float32Array): Nf4 => {
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  const absmax = new Float32Array(Math.ceil(values.length / nf4BlockSize));
  for (let block = 0; block < absmax.length; block++) {
    const [start, end] = [block * nf4BlockSize, Math.min((block + 1) * nf4BlockSize, values.length)];
    let largest = 0;
    for (let index = start; index < end; index++) largest = Math.max(largest, Math.abs(values[index]));
    absmax[block] = largest;
    const inverse = largest === 0 ? 0 : 1 / largest;
    for (let index = start; index < end; index++) packed[index >> 1] |= nearest(values[index] * inverse) << (index % 2 === 0 ? 4 : 0);
  }
  return { packed, absmax };
};

/** The number of a level that a packed vector has at an index. */
export const levelAt = (packed: ArrayLike<number>, index: number): number => (packed[index >> 1] >> (index % 2 === 0 ? 4 : 0)) & 15;

/** The values that the levels stand for, `count` of them. */
export const unpackNf4 = ({ packed, absmax }: Nf4, count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => nf4Levels[levelAt(packed, index)] * absmax[Math.floor(index / nf4BlockSize)]);
