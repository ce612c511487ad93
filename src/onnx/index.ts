/** @file Floor 2: programs as ONNX models. */
export { emitOnnx, zeroInput, type OnnxModel } from "./emit.ts";
