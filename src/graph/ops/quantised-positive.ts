/**
 * @file Products of rows without negative elements and weights in 8 bits, where small elements that round to zero are not lost on average.
 * It knows nothing about where such rows come from.
 */
import { f32, LowrankError, type HostTensor } from "../../util/index.ts";
import { needFloat32, node, noGradient, typeText, type Op, type Tensor } from "../op.ts";
import { bytesReference, lowerBytes, type ByteRows, type Int8Matrix } from "./quantised.ts";

const unsigned: ByteRows = { steps: 255, zero: 0 };

const positiveReference = ([x, sizes, sums, weights, scales, means]: readonly HostTensor[], N: number): Float32Array => {
  const [M, K] = x.shape;
  const { integers, perStep } = bytesReference(x, sizes, unsigned);
  const result = new Float32Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      const mean = Number(means.data[n]);
      let sum = 0;
      for (let k = 0; k < K; k++) sum += integers[m * K + k] * (Number(weights.data[k * N + n]) - mean);
      result[m * N + n] = (sum * perStep[m] + Number(sums.data[m]) * mean) * Number(scales.data[n]);
    }
  return result;
};

const positiveMatmulOp: Op<undefined> = {
  name: "int8-positive-matmul",
  packs: true,
  infer: (inputs) => {
    const [x, sizes, sums, weights, scales, means] = inputs;
    const [M, K] = x.shape;
    const N = weights.shape[1];
    const fits =
      x.shape.length === 2 &&
      [sizes, sums].every(({ shape }) => shape.join() === `${M}`) &&
      weights.dtype === "i8" &&
      weights.shape.join() === `${K},${N}` &&
      scales.shape.join() === `${N}` &&
      means.dtype === "i8" &&
      means.shape.join() === `${N}`;
    if (!fits) throw new LowrankError("shape-mismatch", `int8-positive-matmul: ${inputs.map(typeText).join(", ")} do not fit each other.`);
    needFloat32("int8-positive-matmul", x, sizes, sums, scales);
    return { dtype: "f32", shape: [M, N] };
  },
  // It serves gradients and has none.
  grad: noGradient,
  onnx: (lowering, [x, sizes, sums, weights, scales, means], { shape: [M, N] }) => {
    if (lowering.device !== "cpu")
      return lowering.emit("MatMul", [
        lowering.emit("Min", [x, lowering.view(sizes, [M, 1])]),
        lowering.emit("DequantizeLinear", [weights, scales], { axis: { int: 1 } }),
      ]);
    // x·W = x·(W − m) + (Σx)·m with the mean row m: Σx is known exactly, so that only differences from the mean are lost with small elements.
    const { bytes, perStep } = lowerBytes(lowering, [x, sizes], M, unsigned);
    const zero = lowering.constant({ dtype: "u8", shape: [], data: Uint8Array.of(unsigned.zero) });
    const one = lowering.constant(f32([1], []));
    const product = lowering.emit("MatMulIntegerToFloat", [bytes, weights, one, scales, zero, means], {}, "com.microsoft"); // (M, N)
    const mean = lowering.view(lowering.emit("Mul", [lowering.emit("Cast", [means], { to: { int: 1 } }), scales]), [1, N]);
    return lowering.emit("Add", [lowering.emit("Mul", [product, perStep]), lowering.emit("Mul", [lowering.view(sums, [M, 1]), mean])]);
  },
  reference: (inputs, { shape }) => positiveReference(inputs, shape[1]),
};

/** What is known of rows without negative elements, each (M). */
export interface CutRows {
  /** Elements above this count as this. */
  readonly sizes: Tensor;
  /** Sum of a row that is cut so. */
  readonly sums: Tensor;
}

/** A weight (K, N) in 8 bits with the whole numbers nearest to the means of its columns: (N) int8. */
export interface CentredInt8Matrix extends Int8Matrix {
  readonly means: Tensor;
}

/**
 * x·W for an x (M, K) without negative elements and a weight (K, N) in 8 bits, no gradient: a row has 255 steps to its size. What rounding
 * takes from or adds to the sum of a row is given back with the mean row of W.
 * @example int8PositiveMatmul(p, { sizes, sums }, { weights, scales, means }) // (M, N)
 */
export const int8PositiveMatmul = (x: Tensor, { sizes, sums }: CutRows, { weights, scales, means }: CentredInt8Matrix): Tensor =>
  node(positiveMatmulOp, [x, sizes, sums, weights, scales, means], undefined);

export const quantisedPositiveOps = { "int8-positive-matmul": positiveMatmulOp };
