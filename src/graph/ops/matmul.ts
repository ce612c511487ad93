/** @file The matrix product, two-dimensional or batched, with transposes, a factor and an addend in the same pass. */
import { LowrankError, sizeOf, type HostTensor } from "../../util/index.ts";
import { needFloat32, node, sameShape, shapeText, type Lowering, type Op, type Tensor } from "../op.ts";
import { broadcastShape, broadcastStrides, offsets } from "../strides.ts";
import { add, multiply } from "./elementwise.ts";
import { scalar } from "./leaf.ts";
import { sumTo } from "./reduce.ts";

export interface Product {
  /** Read the last two axes of `a` (of `b`) the other way round. */
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** A factor on the product, not on the addend. */
  readonly alpha: number;
}

const turned = (shape: readonly number[], turn: boolean): readonly number[] =>
  turn && shape.length >= 2 ? [...shape.slice(0, -2), shape[shape.length - 1], shape[shape.length - 2]] : shape;

const lowerFlat = (lowering: Lowering, inputs: readonly string[], { transposeA, transposeB, alpha }: Product): string =>
  lowering.emit("Gemm", inputs, { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) }, alpha: { float: alpha } });

const swapLast = (rank: number): number[] => [...Array.from({ length: rank - 2 }, (_, axis) => axis), rank - 1, rank - 2];

// FusedMatMul exists on the CPU only; elsewhere its parts are spelled out.
const lowerBatched = (
  lowering: Lowering,
  [a, b]: readonly string[],
  { transposeA, transposeB, alpha }: Product,
  ranks: number[],
): string => {
  if (!transposeA && !transposeB && alpha === 1) return lowering.emit("MatMul", [a, b]);
  if (lowering.device === "cpu")
    return lowering.emit(
      "FusedMatMul",
      [a, b],
      { transA: { int: Number(transposeA) }, transB: { int: Number(transposeB) }, alpha: { float: alpha } },
      "com.microsoft",
    );
  const left = transposeA ? lowering.emit("Transpose", [a], { perm: { ints: swapLast(ranks[0]) } }) : a;
  const right = transposeB ? lowering.emit("Transpose", [b], { perm: { ints: swapLast(ranks[1]) } }) : b;
  const product = lowering.emit("MatMul", [left, right]);
  return alpha === 1
    ? product
    : lowering.emit("Mul", [product, lowering.constant({ dtype: "f32", shape: [], data: Float32Array.of(alpha) })]);
};

const multiplyReference = (
  a: HostTensor,
  b: HostTensor,
  { transposeA, transposeB, alpha }: Product,
  shape: readonly number[],
): Float32Array => {
  const batch = shape.slice(0, -2);
  const [M, N] = shape.slice(-2);
  const [aRows, K] = turned(a.shape, transposeA).slice(-2);
  const aBatch = offsets(batch, broadcastStrides(a.shape.slice(0, -2), batch));
  const bBatch = offsets(batch, broadcastStrides(b.shape.slice(0, -2), batch));
  const result = new Float32Array(sizeOf(shape));
  for (let index = 0; index < aBatch.length; index++) {
    const aStart = aBatch[index] * aRows * K;
    const bStart = bBatch[index] * K * N;
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let value = 0;
        for (let k = 0; k < K; k++)
          value +=
            Number(a.data[aStart + (transposeA ? k * M + m : m * K + k)]) * Number(b.data[bStart + (transposeB ? n * K + k : k * N + n)]);
        result[(index * M + m) * N + n] = alpha * value;
      }
  }
  return result;
};

const matmulOp: Op<Product> = {
  name: "matmul",
  infer: ([a, b, addend], { transposeA, transposeB }) => {
    const left = turned(a.shape, transposeA);
    const right = turned(b.shape, transposeB);
    needFloat32("matmul", a, b, ...(addend === undefined ? [] : [addend]));
    if (a.shape.length < 2 || b.shape.length < 2 || left[left.length - 1] !== right[right.length - 2])
      throw new LowrankError("shape-mismatch", `matmul: ${shapeText(left)} times ${shapeText(right)} is not defined.`);
    const batch = broadcastShape("matmul", left.slice(0, -2), right.slice(0, -2));
    const shape = [...batch, left[left.length - 2], right[right.length - 1]];
    if (addend !== undefined && (shape.length !== 2 || !sameShape(broadcastShape("matmul", addend.shape, shape), shape)))
      throw new LowrankError(
        "shape-mismatch",
        `matmul: ${shapeText(addend.shape)} cannot be added to a product of shape ${shapeText(shape)}.`,
      );
    return { dtype: "f32", shape };
  },
  // Y = αAB + C: dA = α·dY·Bᵀ, dB = α·Aᵀ·dY, dC = dY; with A or B transposed the factors trade places.
  grad: ({ inputs: [a, b, addend], attributes: { transposeA, transposeB, alpha } }, dy) => {
    const da = transposeA
      ? matmul(b, dy, { transposeA: transposeB, transposeB: true, alpha })
      : matmul(dy, b, { transposeB: !transposeB, alpha });
    const db = transposeB
      ? matmul(dy, a, { transposeA: true, transposeB: transposeA, alpha })
      : matmul(a, dy, { transposeA: !transposeA, alpha });
    return [sumTo(da, a.shape), sumTo(db, b.shape), addend && sumTo(dy, addend.shape)];
  },
  onnx: (lowering, inputs, { inputs: [a, b], attributes }) =>
    a.shape.length === 2 && b.shape.length === 2
      ? lowerFlat(lowering, inputs, attributes)
      : lowerBatched(lowering, inputs, attributes, [a.shape.length, b.shape.length]),
  reference: ([a, b, addend], { shape, attributes }) => {
    const product = multiplyReference(a, b, attributes, shape);
    if (addend === undefined) return product;
    const places = offsets(shape, broadcastStrides(addend.shape, shape));
    return product.map((value, index) => value + Number(addend.data[places[index]]));
  },
  accumulate: ({ inputs: [a, b, own], attributes }, addend) =>
    own === undefined && a.shape.length === 2 && b.shape.length === 2 ? node(matmulOp, [a, b, addend], attributes) : undefined,
};

/**
 * alpha·a·b + addend over the last two axes; leading axes broadcast. An addend takes two-dimensional factors.
 * @example matmul(x, w, { transposeB: true }) // (N, in)·(out, in)ᵀ
 */
export const matmul = (a: Tensor, b: Tensor, product: Partial<Product> = {}, addend?: Tensor): Tensor =>
  node(matmulOp, addend === undefined ? [a, b] : [a, b, addend], { transposeA: false, transposeB: false, alpha: 1, ...product });

/** total + term, inside the pass that makes the term where its op can do that; nobody else may use the term. */
export const accumulate = (total: Tensor, term: Tensor): Tensor => term.op.accumulate?.(term, total) ?? add(total, term);

/** x times a number. */
export const scale = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : multiply(x, scalar(factor)));

export const matmulOps = { matmul: matmulOp };
