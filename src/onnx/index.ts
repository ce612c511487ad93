/** @file Floor 2: programs as ONNX models. */
export { plannedBytes, mappedBytes, packedBytes } from "./program-bytes.ts";
export { emitOnnx, zeroInput, type OnnxModel, type Part, type StoredWeight } from "./emit.ts";
