/** @file Floor 1: tensors as graph nodes, their ops, differentiation, and programs. */
export { gradients, pullback } from "./grad.ts";
export { print, program, verify, type Graph } from "./graph.ts";
export { operandsOf, sameShape } from "./op.ts";
export type { Lowering, OnnxAttribute, Op, OpName, Tensor, TensorType, WeightLocation } from "./op.ts";
export * from "./ops/index.ts";
