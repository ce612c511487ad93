/** @file Matrix products with weights in 4-bit NormalFloat. They know nothing about how the weights were rounded. */
import { f32, LowrankError, nf4BlockSize, sizeOf, unpackNf4, type HostTensor } from "../../util/index.ts";
import { needFloat32, node, typeText, type Lowering, type Op, type Tensor } from "../op.ts";
import { int64s } from "./movement.ts";

export interface Nf4Product {
  /** Of W (out, in), whose rows lie one after another in the blocks. */
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** x·Wᵀ, or dy·W on the way back. */
  readonly turned: boolean;
}

const nf4Reference = ([x, packed, absmax]: readonly HostTensor[], { outFeatures, inFeatures, turned }: Nf4Product): Float32Array => {
  const W = unpackNf4({ packed: packed.data as Uint8Array, absmax: absmax.data as Float32Array }, outFeatures * inFeatures);
  const [M, K] = x.shape;
  const N = turned ? outFeatures : inFeatures;
  const result = new Float32Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += Number(x.data[m * K + k]) * W[turned ? n * K + k : k * N + n];
      result[m * N + n] = sum;
    }
  return result;
};

/** x·Wᵀ for a W (rows, columns). */
const lowerProduct = (lowering: Lowering, inputs: readonly string[], rows: number, columns: number): string =>
  lowering.emit(
    "MatMulBnb4",
    inputs,
    { K: { int: columns }, N: { int: rows }, block_size: { int: nf4BlockSize }, quant_type: { int: 1 } },
    "com.microsoft",
  );

/** W itself. The kernel has no product without the turn, but 1·wᵀ of all values in one column w are these values. */
const lowerUnpacked = (lowering: Lowering, [x, packed, absmax]: readonly string[], shape: readonly number[]): string => {
  // The 1 is made of x, so that nothing is unpacked ahead of its use, or once and for all.
  const first = lowering.emit("Slice", [lowering.view(x, [-1, 1]), int64s(lowering, [0]), int64s(lowering, [1]), int64s(lowering, [0])]);
  const one = lowering.emit("Add", [lowering.emit("Mul", [first, lowering.zero()]), lowering.constant(f32([1], [1, 1]))]);
  return lowering.view(lowerProduct(lowering, [one, packed, absmax], sizeOf(shape), 1), shape);
};

const nf4MatmulOp: Op<Nf4Product> = {
  name: "nf4-matmul",
  infer: (inputs, { outFeatures, inFeatures, turned }) => {
    const [x, packed, absmax] = inputs;
    const count = outFeatures * inFeatures;
    const fits =
      x.shape.length === 2 &&
      x.shape[1] === (turned ? inFeatures : outFeatures) &&
      packed.dtype === "u8" &&
      sizeOf(packed.shape) === Math.ceil(count / 2) &&
      absmax.shape.join() === `${Math.ceil(count / nf4BlockSize)}`;
    if (!fits)
      throw new LowrankError(
        "shape-mismatch",
        `nf4-matmul: ${inputs.map(typeText).join(", ")} do not fit a weight of [${outFeatures}, ${inFeatures}].`,
      );
    needFloat32("nf4-matmul", x, absmax);
    return { dtype: "f32", shape: [x.shape[0], turned ? outFeatures : inFeatures] };
  },
  // Y = X·Wᵀ: dX = dY·W. The weight is frozen.
  grad: ({ inputs: [, packed, absmax], attributes }, dy) => [
    node(nf4MatmulOp, [dy, packed, absmax], { ...attributes, turned: !attributes.turned }),
  ],
  // Either way the kernel unpacks the whole weight into memory that is freed after the product, so the file stays all that is resident.
  onnx: (lowering, [x, packed, absmax], { attributes: { outFeatures, inFeatures, turned } }) =>
    turned
      ? lowerProduct(lowering, [x, packed, absmax], outFeatures, inFeatures)
      : lowering.emit("MatMul", [x, lowerUnpacked(lowering, [x, packed, absmax], [outFeatures, inFeatures])]),
  reference: (inputs, { attributes }) => nf4Reference(inputs, attributes),
};

/** A weight (out, in) in 4-bit NormalFloat, row by row. */
export interface Nf4Weight {
  /** Numbers of levels, two to a byte: (⌈out·in / 2⌉) uint8. */
  readonly packed: Tensor;
  /** One for each block of 64: (⌈out·in / 64⌉). */
  readonly absmax: Tensor;
  readonly outFeatures: number;
}

/**
 * x·Wᵀ for x (M, in): exact products with the values that the levels stand for, there and back.
 * @example nf4Matmul(x, { packed, absmax, outFeatures: 576 }) // (M, 576)
 */
export const nf4Matmul = (x: Tensor, { packed, absmax, outFeatures }: Nf4Weight): Tensor =>
  node(nf4MatmulOp, [x, packed, absmax], { outFeatures, inFeatures: x.shape[1], turned: true });

export const nf4Ops = { "nf4-matmul": nf4MatmulOp };
