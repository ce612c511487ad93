/** @file The element types of tensors, their sizes and their typed arrays. It knows nothing about files or graphs. */

/** Element types that graphs and hosts share. `f16` and `bf16` are held as raw 16-bit patterns. */
export const dtypes = {
  f64: { bytes: 8, array: Float64Array },
  f32: { bytes: 4, array: Float32Array },
  f16: { bytes: 2, array: Uint16Array },
  bf16: { bytes: 2, array: Uint16Array },
  i64: { bytes: 8, array: BigInt64Array },
  i32: { bytes: 4, array: Int32Array },
  i16: { bytes: 2, array: Int16Array },
  i8: { bytes: 1, array: Int8Array },
  u64: { bytes: 8, array: BigUint64Array },
  u32: { bytes: 4, array: Uint32Array },
  u16: { bytes: 2, array: Uint16Array },
  u8: { bytes: 1, array: Uint8Array },
  bool: { bytes: 1, array: Uint8Array },
} as const;

export type DType = keyof typeof dtypes;

export type TypedArray =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** A tensor in host memory: row-major data of the dtype's typed array. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** Number of elements of a shape; 1 for a scalar. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** A host tensor of float32 values. */
export const f32 = (data: Float32Array | readonly number[], shape: readonly number[] = [data.length]): HostTensor => ({
  dtype: "f32",
  shape,
  data: data instanceof Float32Array ? data : Float32Array.from(data),
});

/** A host tensor of int32 values. */
export const i32 = (data: Int32Array | readonly number[], shape: readonly number[] = [data.length]): HostTensor => ({
  dtype: "i32",
  shape,
  data: data instanceof Int32Array ? data : Int32Array.from(data),
});
