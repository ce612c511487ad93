/** @file Matrix products with weights of fewer bits. They know nothing about how the weights were rounded. */
import { LowrankError, type HostTensor } from "../../util/index.ts";
import { needFloat32, node, typeText, type Lowering, type Op, type Tensor, type TensorType } from "../op.ts";

/** Largest size in each row of x (M, K): (M, 1), never 0. */
const rowSizes = (lowering: Lowering, x: string): string => {
  const axis = lowering.constant({ dtype: "i64", shape: [1], data: BigInt64Array.of(1n) });
  const tiny = lowering.constant({ dtype: "f32", shape: [1], data: Float32Array.of(1e-30) });
  const largest = lowering.emit("ReduceMax", [lowering.emit("Abs", [x]), axis], { keepdims: { int: 1 } });
  return lowering.emit("Add", [largest, tiny]);
};

// The rules of ONNX's DynamicQuantizeLinear: 8 bits between the smallest and the largest value, zero among them.
const dynamic = (values: Float32Array) => {
  let [low, high] = [0, 0];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const step = Math.fround(Math.fround(high - low) / 255) || 1;
  const even = (value: number): number => {
    const down = Math.floor(value);
    return value - down === 0.5 ? down + (down % 2) : Math.round(value);
  };
  const clip = (value: number): number => Math.max(0, Math.min(255, value));
  const zero = clip(even(Math.fround(-low / step)));
  return { step, integers: values.map((value) => clip(even(Math.fround(value / step)) + zero) - zero) };
};

const int8Reference = ([x, weights, scales]: readonly HostTensor[], N: number): Float32Array => {
  const [M, K] = x.shape;
  const data = x.data as Float32Array;
  const sizes = Float32Array.from({ length: M }, (_, row) =>
    data.subarray(row * K, (row + 1) * K).reduce((a, b) => Math.max(a, Math.abs(b)), 1e-30),
  );
  const { step, integers } = dynamic(data.map((value, index) => value / sizes[Math.floor(index / K)]));
  const result = new Float32Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += integers[m * K + k] * Number(weights.data[k * N + n]);
      result[m * N + n] = sum * step * Number(scales.data[n]) * sizes[m];
    }
  return result;
};

const int8MatmulOp: Op = {
  name: "int8-matmul",
  operands: 3,
  infer: (inputs) => {
    const [x, weights, scales, back, backScales] = inputs;
    const [K, N] = weights.shape;
    const isMatrix = ({ dtype, shape }: TensorType, rows: number, columns: number): boolean =>
      dtype === "i8" && shape.join() === `${rows},${columns}`;
    const fits =
      x.shape.length === 2 &&
      x.shape[1] === K &&
      isMatrix(weights, K, N) &&
      scales.shape.join() === `${N}` &&
      (back === undefined || (isMatrix(back, N, K) && backScales.shape.join() === `${K}`));
    if (!fits) throw new LowrankError("shape-mismatch", `int8-matmul: ${inputs.map(typeText).join(", ")} do not fit each other.`);
    needFloat32("int8-matmul", x, scales, ...(back === undefined ? [] : [backScales]));
    return { dtype: "f32", shape: [x.shape[0], N] };
  },
  // Rounding counts as the identity [Bengio et al. 2013: the straight-through estimator]; dx = dy·Wᵀ has the other rounding of W.
  grad: ({ inputs: [, weights, scales, back, backScales] }, dy) => {
    if (back === undefined)
      throw new LowrankError("graph-invalid", "int8-matmul: a weight without its form for the way back has no gradient.");
    return [int8Matmul(dy, { weights: back, scales: backScales, back: { weights, scales } })];
  },
  onnx: (lowering, [x, weights, scales]) => {
    if (lowering.device !== "cpu")
      return lowering.emit("MatMul", [x, lowering.emit("DequantizeLinear", [weights, scales], { axis: { int: 1 } })]);
    const sizes = rowSizes(lowering, x);
    const even = lowering.emit("Div", [x, sizes]);
    // Products of one x share everything up to here: the runtime merges equal nodes.
    const [integers, step, zero] = lowering.emitAll(3, "DynamicQuantizeLinear", [even]);
    const product = lowering.emit("MatMulIntegerToFloat", [integers, weights, step, scales, zero], {}, "com.microsoft");
    return lowering.emit("Mul", [product, sizes]);
  },
  reference: (inputs, { shape }) => int8Reference(inputs, shape[1]),
};

interface Int8Matrix {
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
  node(int8MatmulOp, back === undefined ? [x, weights, scales] : [x, weights, scales, back.weights, back.scales], undefined);

export const quantisedOps = { "int8-matmul": int8MatmulOp };
