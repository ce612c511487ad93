/** @file Matrix products with weights of fewer bits. They know nothing about how the weights were rounded. */
import { f32, LowrankError, type HostTensor } from "../../util/index.ts";
import { roundHalfEven } from "../elements.ts";
import { needFloat32, node, noGradient, typeText, type Lowering, type Op, type Tensor, type TensorType } from "../op.ts";
import { int64s } from "./movement.ts";

const tiny = 1e-30;

const rowSizesOp: Op<undefined> = {
  name: "row-sizes",
  infer: ([x]) => {
    needFloat32("row-sizes", x);
    if (x.shape.length !== 2) throw new LowrankError("shape-mismatch", `row-sizes: ${typeText(x)} is no matrix.`);
    return { dtype: "f32", shape: [x.shape[0]] };
  },
  // Rounding counts as the identity, so that how it is scaled has no gradient.
  grad: noGradient,
  onnx: (lowering, [x]) => {
    // Two passes that only read x cost less than one that writes |x|.
    const extreme = (type: string): string => lowering.emit(type, [x, int64s(lowering, [1])], { keepdims: { int: 0 } });
    const lowest = lowering.emit("Neg", [extreme("ReduceMin")]);
    return lowering.emit("Max", [extreme("ReduceMax"), lowest, lowering.constant(f32([tiny]))]);
  },
  reference: ([{ data, shape }]) => {
    const [M, K] = shape;
    return Float32Array.from({ length: M }, (_, row) =>
      (data as Float32Array).subarray(row * K, (row + 1) * K).reduce((a, b) => Math.max(a, Math.abs(b)), tiny),
    );
  },
};

/** Largest size in each row of x (M, K): (M), never 0; no gradient. */
const rowSizes = (x: Tensor): Tensor => node(rowSizesOp, [x], undefined);

/** How rows become bytes: steps to a row's size, and the byte that stands for zero. */
export interface ByteRows {
  readonly steps: number;
  readonly zero: number;
}

const signed: ByteRows = { steps: 127, zero: 128 };

/** The bytes of x (M, K) for rows of these sizes (M), and what one step of each is, (M, 1); beyond 255 they saturate. */
export const lowerBytes = (
  lowering: Lowering,
  [x, sizes]: readonly string[],
  M: number,
  { steps, zero }: ByteRows,
): { readonly bytes: string; readonly perStep: string } => {
  const perStep = lowering.emit("Mul", [sizes, lowering.constant(f32([1 / steps]))]); // (M)
  // Products of one x share everything up to here, because equal nodes are made once.
  const zeros = lowering.constant({ dtype: "u8", shape: [M], data: new Uint8Array(M).fill(zero) });
  const bytes = lowering.emit("QuantizeLinear", [x, perStep, zeros], { axis: { int: 0 } });
  return { bytes, perStep: lowering.view(perStep, [M, 1]) };
};

/** The same in plain TypeScript, the byte that stands for zero taken off. */
export const bytesReference = (
  x: HostTensor,
  sizes: HostTensor,
  { steps, zero }: ByteRows,
): { readonly integers: Float32Array; readonly perStep: Float32Array } => {
  const K = x.shape[1];
  const perStep = Float32Array.from(sizes.data as Float32Array, (size) => size * Math.fround(1 / steps));
  const integers = Float32Array.from(x.data as Float32Array, (value, index) => {
    const rounded = roundHalfEven(Math.fround(value / perStep[Math.floor(index / K)])) + zero;
    return Math.max(0, Math.min(255, rounded)) - zero;
  });
  return { integers, perStep };
};

const int8Reference = ([x, sizes, weights, scales]: readonly HostTensor[], N: number): Float32Array => {
  const [M, K] = x.shape;
  const { integers, perStep } = bytesReference(x, sizes, signed);
  const result = new Float32Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += integers[m * K + k] * Number(weights.data[k * N + n]);
      result[m * N + n] = sum * Number(scales.data[n]) * perStep[m];
    }
  return result;
};

const int8MatmulOp: Op = {
  name: "int8-matmul",
  packs: true,
  operands: 4,
  infer: (inputs) => {
    const [x, sizes, weights, scales, back, backScales] = inputs;
    const [K, N] = weights.shape;
    const isMatrix = ({ dtype, shape }: TensorType, rows: number, columns: number): boolean =>
      dtype === "i8" && shape.join() === `${rows},${columns}`;
    const fits =
      x.shape.length === 2 &&
      x.shape[1] === K &&
      sizes.shape.join() === `${x.shape[0]}` &&
      isMatrix(weights, K, N) &&
      scales.shape.join() === `${N}` &&
      (back === undefined || (isMatrix(back, N, K) && backScales.shape.join() === `${K}`));
    if (!fits) throw new LowrankError("shape-mismatch", `int8-matmul: ${inputs.map(typeText).join(", ")} do not fit each other.`);
    needFloat32("int8-matmul", x, sizes, scales, ...(back === undefined ? [] : [backScales]));
    return { dtype: "f32", shape: [x.shape[0], N] };
  },
  // Rounding counts as the identity [Bengio et al. 2013: the straight-through estimator]; dx = dy·Wᵀ has the other rounding of W.
  grad: ({ inputs: [, , weights, scales, back, backScales] }, dy) => {
    if (back === undefined)
      throw new LowrankError("graph-invalid", "int8-matmul: a weight without its form for the way back has no gradient.");
    return [int8Matmul(dy, { weights: back, scales: backScales, back: { weights, scales } })];
  },
  onnx: (lowering, [x, sizes, weights, scales], { inputs: [{ shape }] }) => {
    if (lowering.device !== "cpu")
      return lowering.emit("MatMul", [x, lowering.emit("DequantizeLinear", [weights, scales], { axis: { int: 1 } })]);
    const { bytes, perStep } = lowerBytes(lowering, [x, sizes], shape[0], signed);
    const zero = lowering.constant({ dtype: "u8", shape: [], data: Uint8Array.of(signed.zero) });
    const product = lowering.emit(
      "MatMulIntegerToFloat",
      [bytes, weights, lowering.constant(f32([1], [])), scales, zero],
      {},
      "com.microsoft",
    );
    return lowering.emit("Mul", [product, perStep]);
  },
  reference: (inputs, { shape }) => int8Reference(inputs, shape[1]),
};

export interface Int8Matrix {
  /** (K, N) int8. */
  readonly weights: Tensor;
  /** One for each of the N outputs. */
  readonly scales: Tensor;
}

/** A weight in 8 bits, and for its gradient the turned one (N, K), rounded on its own with a scale for each of the K. */
export interface Int8Weight extends Int8Matrix {
  readonly back?: Int8Matrix;
}

/**
 * x·W for x (M, K) and a weight in 8 bits: each row of x is divided by its largest size and rounded to 8 bits, the product is exact in integers.
 * @example int8Matmul(x, { weights, scales }) // (M, N)
 */
export const int8Matmul = (x: Tensor, { weights, scales, back }: Int8Weight): Tensor =>
  node(int8MatmulOp, [x, rowSizes(x), weights, scales, ...(back === undefined ? [] : [back.weights, back.scales])], undefined);

export const quantisedOps = { "row-sizes": rowSizesOp, "int8-matmul": int8MatmulOp };
