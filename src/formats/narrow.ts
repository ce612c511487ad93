/** @file Float32 values as the bytes of the dtypes that weights are stored in. It knows nothing about files. */
import { LowrankError, narrowBf16, narrowF16, type DType } from "../util/index.ts";

const largestF16 = 65_504;

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** The bytes of values as f32, bf16 or f16; values that f16 cannot hold are an `invalid-data` error. `where` names the tensor in errors. */
export const narrowed = (values: Float32Array, dtype: DType, where: string): Uint8Array => {
  if (dtype === "f32") return bytesOf(values);
  if (dtype === "bf16") return bytesOf(narrowBf16(values));
  if (dtype !== "f16")
    throw new LowrankError("unsupported", `A merged tensor cannot be written as ${dtype}.`, { where, fix: "Choose f32, bf16 or f16." });
  if (values.some((value) => Math.abs(value) > largestF16))
    throw new LowrankError("invalid-data", `The tensor has values above ${largestF16}, the largest that f16 can hold.`, {
      where,
      fix: "Write bf16 or f32 instead.",
    });
  return bytesOf(narrowF16(values));
};
