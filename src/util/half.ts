/** @file Conversion between float32 and the 16-bit floats (IEEE binary16, bfloat16), round to nearest even. It knows nothing about tensors. */

const word = new DataView(new ArrayBuffer(4));

const bitsOf = (value: number): number => {
  word.setFloat32(0, value);
  return word.getUint32(0);
};

const floatOf = (bits: number): number => {
  word.setUint32(0, bits >>> 0);
  return word.getFloat32(0);
};

/** bfloat16 bits of a number; NaN stays NaN. */
export const toBf16 = (value: number): number => {
  const bits = bitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
};

/** The number that bfloat16 bits stand for. */
export const fromBf16 = (bits: number): number => floatOf(bits << 16);

/** IEEE binary16 bits of a number; overflow gives infinity, NaN stays NaN. */
export const toF16 = (value: number): number => {
  const bits = bitsOf(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude < 0x38800000) {
    // Subnormal: adding 0.5 aligns the units of 2^-24 with the float's last bit, so the hardware rounds.
    return sign | (bitsOf(floatOf(magnitude) + 0.5) - bitsOf(0.5));
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
};

/** The number that IEEE binary16 bits stand for. */
export const fromF16 = (bits: number): number => {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return (sign === 0 ? 1 : -1) * fraction * 2 ** -24;
  if (exponent === 31) return floatOf(sign | 0x7f800000 | (fraction << 13));
  return floatOf(sign | ((exponent + 112) << 23) | (fraction << 13));
};

// Plain loops below: `TypedArray.from` with a function takes 200 ns a value, these take 4 to 11.

/** float32 copies of bfloat16 values. */
export const widenBf16 = (source: Uint16Array): Float32Array => {
  const words = new Uint32Array(source.length);
  for (let index = 0; index < source.length; index++) words[index] = source[index] << 16;
  return new Float32Array(words.buffer);
};

/** float32 copies of binary16 values. */
export const widenF16 = (source: Uint16Array): Float32Array => {
  const values = new Float32Array(source.length);
  for (let index = 0; index < source.length; index++) values[index] = fromF16(source[index]);
  return values;
};

/** float32 values as bfloat16, rounded to nearest even. */
export const narrowBf16 = (source: Float32Array): Uint16Array => {
  const values = new Uint16Array(source.length);
  for (let index = 0; index < source.length; index++) values[index] = toBf16(source[index]);
  return values;
};

/** float32 values as binary16, rounded to nearest even. */
export const narrowF16 = (source: Float32Array): Uint16Array => {
  const values = new Uint16Array(source.length);
  for (let index = 0; index < source.length; index++) values[index] = toF16(source[index]);
  return values;
};

/** 16-bit floats by their dtype. */
export type Half = "bf16" | "f16";

/** The float32 values nearest to these that a 16-bit float can hold. */
export const roundTo = (half: Half, values: Float32Array): Float32Array =>
  half === "bf16" ? widenBf16(narrowBf16(values)) : widenF16(narrowF16(values));
