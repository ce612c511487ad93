/** @file Floor 0: what everything may use. */
export { LowrankError, messageOf, type ErrorCode, type ErrorDetails } from "./errors.ts";
export { dtypes, sizeOf, f32, i32, type DType, type HostTensor, type TypedArray } from "./dtype.ts";
export { fromBf16, fromF16, narrowBf16, narrowF16, roundTo, toBf16, toF16, widenBf16, widenF16, type Half } from "./half.ts";
export { mersenneTwister } from "./mersenne-twister.ts";
export { levelAt, nf4BlockSize, nf4Levels, packNf4, unpackNf4, type Nf4 } from "./nf4.ts";
export { hash, hashText, permutation, random, restoreRandom, type Random, type RandomState } from "./random.ts";
