/** @file Symbolic tensors and the contract of an op: one record that says everything about it. It knows no particular op. */
import { LowrankError, type DType, type HostTensor, type TypedArray } from "../util/index.ts";

/** Every op there is; `ops/index.ts` holds one record for each, and a missing one does not compile. */
export type OpName =
  | "input"
  | "weight"
  | "constant"
  | "reshape"
  | "transpose"
  | "slice"
  | "pad"
  | "concat"
  | "sum"
  | "sum-squares"
  | "broadcast"
  | "max"
  | "add"
  | "subtract"
  | "multiply"
  | "divide"
  | "negate"
  | "exp"
  | "log"
  | "sqrt"
  | "reciprocal"
  | "sigmoid"
  | "tanh"
  | "erf"
  | "silu"
  | "relu"
  | "equal"
  | "and"
  | "where"
  | "cast"
  | "matmul"
  | "row-sizes"
  | "int8-matmul"
  | "int8-positive-matmul"
  | "nf4-matmul"
  | "int4-matmul"
  | "int4-values"
  | "softmax"
  | "rms-norm"
  | "rotary"
  | "gather"
  | "scatter-add"
  | "pick"
  | "place"
  | "top-k"
  | "grouped-matmul"
  | "grouped-outer"
  | "with-gradient"
  | "checkpoint"
  | "rematerialise"
  | "retained"
  | "after";

/** dtype and static shape: all that a consumer of a tensor may depend on. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A value in a graph: its type, the op that makes it, and what from. */
export interface Tensor<A = unknown> extends TensorType {
  readonly op: Op<A>;
  readonly inputs: readonly Tensor[];
  readonly attributes: A;
}

/** Where a stored tensor's bytes are: little-endian, row-major, `offset` bytes into the file at `path`. */
export interface WeightLocation extends TensorType {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** An ONNX attribute; the key says its kind, because a number alone does not. */
export type OnnxAttribute = { int: number } | { float: number } | { ints: readonly number[] } | { text: string };

/** What a record lowers itself with; the emitter on floor 2 implements it. Strings are names of ONNX values. */
export interface Lowering {
  readonly device: "cpu" | "webgpu" | "cuda";
  /** Adds one ONNX node with one output; `domain` "" is the standard one. */
  emit(type: string, inputs: readonly string[], attributes?: Readonly<Record<string, OnnxAttribute>>, domain?: string): string;
  /** The same for a node with several outputs. */
  emitAll(
    outputs: number,
    type: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): readonly string[];
  /** The same elements in another shape. */
  view(value: string, shape: readonly number[]): string;
  constant(tensor: HostTensor): string;
  input(name: string, type: TensorType): string;
  weight(name: string, location: WeightLocation): string;
  /** The bytes of a constant or a stored weight, by its value's name, as 4-bit numbers of this shape: the low half of each byte comes first. */
  nibbles(value: string, shape: readonly number[]): string;
  /** A float32 [1] that is 0 at run time and that no optimiser can know to be 0. */
  zero(): string;
}

export interface Op<A = unknown> {
  readonly name: OpName;
  /** How many of the inputs the value is made from, where the others serve its gradient only; all where absent. */
  readonly operands?: number;
  /** Whether the value lies where the first operand's does, so that it takes no memory of its own. */
  readonly isView?: boolean;
  /** Whether its weights are multiplied with fast on the CPU only in an order of the runtime's own, which costs a copy of them. */
  readonly packs?: boolean;
  /** The operands in whose memory ONNX Runtime may put the value, where nothing else needs them and they are of its shape; default none (arithmetic has none). */
  readonly inPlace?: readonly number[];
  /** Whether a recomputation takes the value from the first time instead of making it again. */
  readonly isRetained?: boolean;
  /** The result's type; throws `shape-mismatch` that names both shapes. */
  infer(inputs: readonly TensorType[], attributes: A): TensorType;
  /** The gradient of each input, given the gradient of the result; undefined where there is none. */
  grad(node: Tensor<A>, dy: Tensor): readonly (Tensor | undefined)[];
  onnx(lowering: Lowering, inputs: readonly string[], node: Tensor<A>): string;
  /** The result in plain TypeScript, for tests. */
  reference(inputs: readonly HostTensor[], node: Tensor<A>): TypedArray;
  /** The value made again once `dy` is there, for ops whose value is not kept until the gradients of its users need it. */
  remake?(node: Tensor<A>, dy: Tensor): Tensor;
  /** The same value with `addend` added in the same pass, for ops that can (matrix products, paddings beside each other). */
  accumulate?(node: Tensor<A>, addend: Tensor): Tensor | undefined;
}

/** Makes a tensor: the only way that one comes to be. */
export const node = <A>(op: Op<A>, inputs: readonly Tensor[], attributes: A): Tensor => {
  const { dtype, shape } = op.infer(inputs, attributes);
  return { op, inputs, attributes, dtype, shape };
};

/** What a tensor's value is made from: its inputs without those that serve its gradient only. */
export const operandsOf = ({ op, inputs }: Tensor): readonly Tensor[] =>
  op.operands === undefined ? inputs : inputs.slice(0, op.operands);

/** `[2, 3]` as people write it. */
export const shapeText = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** `f32 [2, 3]` as people write it. */
export const typeText = ({ dtype, shape }: TensorType): string => `${dtype} ${shapeText(shape)}`;

/** Throws `shape-mismatch` unless all are float32. */
export const needFloat32 = (name: string, ...types: readonly TensorType[]): void => {
  if (types.some(({ dtype }) => dtype !== "f32"))
    throw new LowrankError("shape-mismatch", `${name}: float32 is needed, not ${types.map(typeText).join(" and ")}.`);
};

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);

/** Ops without a gradient of their own, such as leaves and comparisons. */
export const noGradient = (): readonly undefined[] => [];
