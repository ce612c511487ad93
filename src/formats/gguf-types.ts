/** @file The types of GGUF files: metadata values and tensor elements, with their codes and sizes. It knows nothing about files. */
import { sizeOf } from "../util/index.ts";

/** How a number of a metadata type lies in the file, little-endian. */
interface NumberType {
  readonly code: number;
  readonly bytes: number;
  read(view: DataView, at: number): number | bigint | boolean;
  write(view: DataView, at: number, value: never): void;
}

const number = (code: number, bytes: number, name: "Uint8" | "Int8" | "Uint16" | "Int16" | "Uint32" | "Int32" | "Float32" | "Float64") =>
  ({
    code,
    bytes,
    read: (view, at) => view[`get${name}`](at, true),
    write: (view, at, value: number) => view[`set${name}`](at, value, true),
  }) satisfies NumberType;

/** Metadata types of a fixed size. */
export const ggufNumbers = {
  u8: number(0, 1, "Uint8"),
  i8: number(1, 1, "Int8"),
  u16: number(2, 2, "Uint16"),
  i16: number(3, 2, "Int16"),
  u32: number(4, 4, "Uint32"),
  i32: number(5, 4, "Int32"),
  f32: number(6, 4, "Float32"),
  bool: {
    code: 7,
    bytes: 1,
    read: (view, at) => view.getUint8(at) !== 0,
    write: (view, at, value: boolean) => view.setUint8(at, Number(value)),
  },
  u64: {
    code: 10,
    bytes: 8,
    read: (view, at) => view.getBigUint64(at, true),
    write: (view, at, value: bigint) => view.setBigUint64(at, value, true),
  },
  i64: {
    code: 11,
    bytes: 8,
    read: (view, at) => view.getBigInt64(at, true),
    write: (view, at, value: bigint) => view.setBigInt64(at, value, true),
  },
  f64: number(12, 8, "Float64"),
} satisfies Readonly<Record<string, NumberType>>;

/** Codes of the types whose size the value decides. */
export const stringCode = 8;
export const arrayCode = 9;

type ScalarType = keyof typeof ggufNumbers | "string";
type Scalar = number | bigint | boolean | string;

/** A metadata value with its type; a list holds values of one type and no lists. */
export type GgufValue =
  | { readonly type: ScalarType; readonly value: Scalar }
  | { readonly type: "array"; readonly of: ScalarType; readonly values: readonly Scalar[] };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Values in the types that GGUF's own keys have. */
export const gguf = {
  u32: (value: number): GgufValue => ({ type: "u32", value }),
  f32: (value: number): GgufValue => ({ type: "f32", value }),
  bool: (value: boolean): GgufValue => ({ type: "bool", value }),
  string: (value: string): GgufValue => ({ type: "string", value }),
  strings: (values: readonly string[]): GgufValue => ({ type: "array", of: "string", values }),
  f32s: (values: readonly number[]): GgufValue => ({ type: "array", of: "f32", values }),
  i32s: (values: readonly number[]): GgufValue => ({ type: "array", of: "i32", values }),
};

/** Tensor types that are read and written: `elements` of a row make a block of `bytes`; `fileType` is what a file mostly of it calls itself. */
export const ggufTensorTypes = {
  f32: { code: 0, elements: 1, bytes: 4, fileType: 0 },
  f16: { code: 1, elements: 1, bytes: 2, fileType: 1 },
  q8_0: { code: 8, elements: 32, bytes: 34, fileType: 7 },
  bf16: { code: 30, elements: 1, bytes: 2, fileType: 32 },
} as const;

export type GgufTensorType = keyof typeof ggufTensorTypes;

/** Bytes of a tensor whose rows, along the last dimension, hold whole blocks. */
export const ggufBytes = (type: GgufTensorType, shape: readonly number[]): number =>
  (sizeOf(shape) / ggufTensorTypes[type].elements) * ggufTensorTypes[type].bytes;

/** Tensors begin at multiples of this, unless `general.alignment` says another number. */
export const ggufAlignment = 32;

/** `at`, or the next multiple of `alignment`. */
export const aligned = (at: number, alignment: number): number => Math.ceil(at / alignment) * alignment;
