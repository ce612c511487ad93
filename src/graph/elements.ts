/** @file Elements of host tensors of any dtype, for the plain-TypeScript rules of the ops. It knows no op. */
import { dtypes, sizeOf, widenBf16, widenF16, type DType, type HostTensor, type TypedArray } from "../util/index.ts";
import type { TensorType } from "./op.ts";

/** Zeros of a type. */
export const emptyLike = ({ dtype, shape }: TensorType): TypedArray => new dtypes[dtype].array(sizeOf(shape));

/** The elements at these offsets, in their order. */
export const take = (source: HostTensor, at: Int32Array): TypedArray => {
  const result = new dtypes[source.dtype].array(at.length);
  for (let index = 0; index < at.length; index++) result[index] = source.data[at[index]];
  return result;
};

/** The elements as numbers; 16-bit floats by their value, not their pattern. */
export const numbersOf = ({ dtype, data }: HostTensor): ArrayLike<number> => {
  if (dtype === "bf16") return widenBf16(data as Uint16Array);
  if (dtype === "f16") return widenF16(data as Uint16Array);
  return Array.from<number | bigint, number>(data, Number);
};

/** To the nearest integer, halves to the even one, as runtimes round. */
export const roundHalfEven = (value: number): number => {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
};

/** Numbers as elements of a dtype: integers towards zero, bool true for all but 0. */
export const ofNumbers = (dtype: DType, values: ArrayLike<number>): TypedArray => {
  if (dtype === "i64") return BigInt64Array.from(Array.from(values, (value) => BigInt(Math.trunc(value))));
  if (dtype === "bool") return Uint8Array.from(values, (value) => Number(value !== 0));
  return (dtypes[dtype].array as Float32ArrayConstructor).from(values);
};
