/** @file The generator MT19937 [Matsumoto and Nishimura 1998], for numbers that other programs have drawn from it. Everything of our own draws from `random`. */

const size = 624;
const middle = 397;

/** 32-bit integers by seed, the same as `std::mt19937` gives. */
export const mersenneTwister = (seed: number): (() => number) => {
  const state = new Uint32Array(size);
  state[0] = seed;
  for (let index = 1; index < size; index++) {
    const last = state[index - 1] ^ (state[index - 1] >>> 30);
    state[index] = Math.imul(last, 1_812_433_253) + index;
  }
  let next = size;
  const renew = (): void => {
    for (let index = 0; index < size; index++) {
      const joined = (state[index] & 0x8000_0000) | (state[(index + 1) % size] & 0x7fff_ffff);
      state[index] = state[(index + middle) % size] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908_b0df : 0);
    }
    next = 0;
  };
  return () => {
    if (next === size) renew();
    let value = state[next++];
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c_5680;
    value ^= (value << 15) & 0xefc6_0000;
    return (value ^ (value >>> 18)) >>> 0;
  };
};
