/** @file Tensors as bitsandbytes writes them in 4 bits, made by hand for tests: levels, scales, and scales that are packed themselves. */
import { f32, packNf4, nf4Levels, sizeOf, type HostTensor } from "../src/util/index.ts";

export interface PackedByHand {
  /** What the file holds, by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** What it stands for. */
  readonly values: Float32Array;
}

const text = (value: object): HostTensor => {
  const data = new TextEncoder().encode(JSON.stringify(value));
  return { dtype: "u8", shape: [data.length], data };
};

const nestedBlockSize = 256;
const nestedMap = Float32Array.from({ length: 256 }, (_, level) => (level - 127) / 128);

/** 8-bit levels of scales less their mean, with a scale for each block of them. */
const packedScales = (absmax: Float32Array) => {
  const offset = Math.fround(absmax.reduce((sum, value) => sum + value, 0) / absmax.length);
  const rest = absmax.map((value) => value - offset);
  const nested = Float32Array.from({ length: Math.ceil(rest.length / nestedBlockSize) }, (_, block) =>
    rest.subarray(block * nestedBlockSize, (block + 1) * nestedBlockSize).reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
  const levels = Uint8Array.from(rest, (value, index) => {
    const scaled = value / (nested[Math.floor(index / nestedBlockSize)] || 1);
    return Math.max(0, Math.min(255, Math.round(scaled * 128) + 127));
  });
  const values = Float32Array.from(levels, (level, index) =>
    Math.fround(Math.fround(nestedMap[level] * nested[Math.floor(index / nestedBlockSize)]) + offset),
  );
  return { offset, nested, levels, values };
};

/** A matrix in 4-bit NormalFloat under `name`, with double quantisation or without. */
export const packedByHand = (name: string, { shape, data }: HostTensor, dtype: string, isNested: boolean): PackedByHand => {
  const { packed, absmax } = packNf4(data as Float32Array);
  const scales = packedScales(absmax);
  const used = isNested ? scales.values : absmax;
  const levelOf = (index: number): number => (index % 2 === 0 ? packed[index >> 1] >> 4 : packed[index >> 1] & 15);
  return {
    values: Float32Array.from({ length: sizeOf(shape) }, (_, index) => nf4Levels[levelOf(index)] * used[Math.floor(index / 64)]),
    tensors: new Map<string, HostTensor>([
      [name, { dtype: "u8", shape: [packed.length, 1], data: packed }],
      [`${name}.quant_map`, f32(nf4Levels)],
      [
        `${name}.quant_state.bitsandbytes__nf4`,
        text({
          quant_type: "nf4",
          blocksize: 64,
          dtype,
          shape,
          ...(isNested && { nested_blocksize: nestedBlockSize, nested_dtype: "float32", nested_offset: scales.offset }),
        }),
      ],
      ...(isNested
        ? ([
            [`${name}.absmax`, { dtype: "u8", shape: [absmax.length], data: scales.levels }],
            [`${name}.nested_absmax`, f32(scales.nested)],
            [`${name}.nested_quant_map`, f32(nestedMap)],
          ] as const)
        : ([[`${name}.absmax`, f32(absmax)]] as const)),
    ]),
  };
};
