/** @file Float32 values as the element types of GGUF tensors, and back. It knows nothing about files. */
import { fromF16, toF16, widenBf16, widenF16 } from "../util/index.ts";
import { ggufTensorTypes, type GgufTensorType } from "./gguf-types.ts";
import { narrowed } from "./narrow.ts";

const { elements: blockElements, bytes: blockBytes } = ggufTensorTypes.q8_0;

// Q8_0: 32 values as d·q with d = max|x|/127 in float16 and q in [−127, 127], rounded half away from zero, all in float32.
const quantise = (values: Float32Array): Uint8Array => {
  const blocks = values.length / blockElements;
  const view = new DataView(new ArrayBuffer(blocks * blockBytes));
  for (let block = 0; block < blocks; block++) {
    const first = block * blockElements;
    let largest = 0;
    for (let index = first; index < first + blockElements; index++) largest = Math.max(largest, Math.abs(values[index]));
    const step = Math.fround(largest / 127);
    const inverse = step === 0 ? 0 : Math.fround(1 / step);
    const at = block * blockBytes;
    view.setUint16(at, toF16(step), true);
    for (let index = 0; index < blockElements; index++) {
      const scaled = Math.fround(values[first + index] * inverse);
      view.setInt8(at + 2 + index, Math.sign(scaled) * Math.round(Math.abs(scaled)));
    }
  }
  return new Uint8Array(view.buffer);
};

const restore = (bytes: Uint8Array): Float32Array => {
  const blocks = bytes.length / blockBytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = new Float32Array(blocks * blockElements);
  for (let block = 0; block < blocks; block++) {
    const at = block * blockBytes;
    const step = fromF16(view.getUint16(at, true));
    for (let index = 0; index < blockElements; index++) values[block * blockElements + index] = step * view.getInt8(at + 2 + index);
  }
  return values;
};

const words = (bytes: Uint8Array): Uint16Array => new Uint16Array(bytes.slice().buffer);

interface Codec {
  encode(values: Float32Array, where: string): Uint8Array;
  decode(bytes: Uint8Array): Float32Array;
}

const codecs: Readonly<Record<GgufTensorType, Codec>> = {
  f32: { encode: (values, where) => narrowed(values, "f32", where), decode: (bytes) => new Float32Array(bytes.slice().buffer) },
  f16: { encode: (values, where) => narrowed(values, "f16", where), decode: (bytes) => widenF16(words(bytes)) },
  bf16: { encode: (values, where) => narrowed(values, "bf16", where), decode: (bytes) => widenBf16(words(bytes)) },
  q8_0: { encode: quantise, decode: restore },
};

/** The bytes of values, whole blocks of them; values that the type cannot hold are an `invalid-data` error. `where` names the tensor in errors. */
export const encodeGguf = (values: Float32Array, type: GgufTensorType, where: string): Uint8Array => codecs[type].encode(values, where);

/** The values of whole blocks. */
export const decodeGguf = (bytes: Uint8Array, type: GgufTensorType): Float32Array => codecs[type].decode(bytes);
