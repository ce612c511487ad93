/** @file Products by groups of rows: each group of neighbouring rows has a matrix of its own. How many rows a group has is known at run time only. */
import { LowrankError, type HostTensor } from "../../util/index.ts";
import { needFloat32, node, sameShape, shapeText, typeText, type Lowering, type Op, type Tensor, type TensorType } from "../op.ts";
import { zeros } from "./leaf.ts";
import { int64s } from "./movement.ts";

const checkBounds = (name: string, bounds: TensorType, groups: number): void => {
  if (bounds.dtype !== "i64" || !sameShape(bounds.shape, [groups + 1]))
    throw new LowrankError(
      "shape-mismatch",
      `${name}: the bounds of ${groups} groups are ${typeText(bounds)}; i64 ${shapeText([groups + 1])} is needed.`,
    );
};

/** The rows of a group, checked as no runtime checks them. */
const rowsOf = (name: string, bounds: HostTensor, group: number, rows: number): readonly [start: number, end: number] => {
  const [start, end] = [Number(bounds.data[group]), Number(bounds.data[group + 1])];
  if (start < 0 || start > end || end > rows)
    throw new LowrankError("backend-failed", `${name}: group ${group} is rows ${start} … ${end} of ${rows}.`);
  return [start, end];
};

const boundOf = (lowering: Lowering, bounds: string, index: number): string =>
  lowering.emit("Slice", [bounds, int64s(lowering, [index]), int64s(lowering, [index + 1]), int64s(lowering, [0])]);

const groupRows = (lowering: Lowering, x: string, bounds: string, group: number): string =>
  lowering.emit("Slice", [x, boundOf(lowering, bounds, group), boundOf(lowering, bounds, group + 1), int64s(lowering, [0])]);

export interface GroupedProduct {
  /** Read the matrices the other way round. */
  readonly transposeB: boolean;
  /** A factor on the product. */
  readonly alpha: number;
}

const groupedMatmulOp: Op<GroupedProduct> = {
  name: "grouped-matmul",
  infer: ([x, bounds, ...matrices], { transposeB }) => {
    needFloat32("grouped-matmul", x, ...matrices);
    checkBounds("grouped-matmul", bounds, matrices.length);
    const [first] = matrices;
    const fits = x.shape.length === 2 && first.shape.length === 2 && x.shape[1] === first.shape[transposeB ? 1 : 0];
    const other = matrices.find(({ shape }) => !fits || !sameShape(shape, first.shape));
    if (other !== undefined)
      throw new LowrankError(
        "shape-mismatch",
        `grouped-matmul: rows ${shapeText(x.shape)} times ${shapeText(other.shape)} among matrices ${shapeText(first.shape)} is not defined.`,
      );
    return { dtype: "f32", shape: [x.shape[0], first.shape[transposeB ? 0 : 1]] };
  },
  grad: ({ inputs: [x, bounds, ...matrices], attributes: { transposeB, alpha } }, dy) => [
    groupedMatmul(dy, bounds, matrices, { transposeB: !transposeB, alpha }),
    undefined,
    ...matrices.map((_, group) =>
      groupedOuter(transposeB ? dy : x, transposeB ? x : dy, bounds, { group, groups: matrices.length, alpha }),
    ),
  ],
  onnx: (lowering, [x, bounds, ...matrices], { attributes: { transposeB, alpha } }) =>
    lowering.emit(
      "Concat",
      matrices.map((matrix, group) =>
        lowering.emit("Gemm", [groupRows(lowering, x, bounds, group), matrix], {
          transB: { int: Number(transposeB) },
          alpha: { float: alpha },
        }),
      ),
      { axis: { int: 0 } },
    ),
  reference: ([x, bounds, ...matrices], { shape: [M, out], attributes: { transposeB, alpha } }) => {
    const size = x.shape[1];
    const result = new Float32Array(M * out);
    for (const [group, { data }] of matrices.entries()) {
      const [start, end] = rowsOf("grouped-matmul", bounds, group, M);
      for (let row = start; row < end; row++)
        for (let column = 0; column < out; column++) {
          let value = 0;
          for (let k = 0; k < size; k++)
            value += Number(x.data[row * size + k]) * Number(data[transposeB ? column * size + k : k * out + column]);
          result[row * out + column] = alpha * value;
        }
    }
    return result;
  },
};

/**
 * Rows of x (M, in), which lie group by group, times the matrix of their group, (in, out) each or turned: (M, out). Group g is the rows
 * bounds[g] … bounds[g + 1] − 1; bounds (G + 1) int64 begins with 0, never falls and ends with M, so that no row is left out.
 */
export const groupedMatmul = (
  x: Tensor,
  bounds: Tensor,
  matrices: readonly Tensor[],
  { transposeB = false, alpha = 1 }: Partial<GroupedProduct> = {},
): Tensor => node(groupedMatmulOp, [x, bounds, ...matrices], { transposeB, alpha });

export interface GroupedOuter {
  readonly group: number;
  readonly groups: number;
  /** A factor on the product. */
  readonly alpha: number;
}

const groupedOuterOp: Op<GroupedOuter> = {
  name: "grouped-outer",
  infer: ([a, b, bounds], { group, groups }) => {
    needFloat32("grouped-outer", a, b);
    checkBounds("grouped-outer", bounds, groups);
    if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[0] !== b.shape[0] || !(group >= 0 && group < groups))
      throw new LowrankError(
        "shape-mismatch",
        `grouped-outer: group ${group} of ${groups} of ${shapeText(a.shape)} and ${shapeText(b.shape)} is not defined.`,
      );
    return { dtype: "f32", shape: [a.shape[1], b.shape[1]] };
  },
  grad: ({ inputs: [a, b, bounds], shape, attributes: { group, groups, alpha } }, dy) => {
    const nothing = zeros(shape);
    const matrices = Array.from({ length: groups }, (_, index) => (index === group ? dy : nothing));
    return [groupedMatmul(b, bounds, matrices, { transposeB: true, alpha }), groupedMatmul(a, bounds, matrices, { alpha }), undefined];
  },
  onnx: (lowering, [a, b, bounds], { attributes: { group, alpha } }) =>
    lowering.emit("Gemm", [groupRows(lowering, a, bounds, group), groupRows(lowering, b, bounds, group)], {
      transA: { int: 1 },
      alpha: { float: alpha },
    }),
  reference: ([a, b, bounds], { shape: [rows, columns], attributes: { group, alpha } }) => {
    const result = new Float32Array(rows * columns);
    const [start, end] = rowsOf("grouped-outer", bounds, group, a.shape[0]);
    for (let m = start; m < end; m++)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++) result[i * columns + j] += alpha * Number(a.data[m * rows + i]) * Number(b.data[m * columns + j]);
    return result;
  },
};

/** aᵀ·b over the rows of one group: a (M, p) and b (M, q) give (p, q), zeros where the group is empty. */
export const groupedOuter = (a: Tensor, b: Tensor, bounds: Tensor, options: GroupedOuter): Tensor =>
  node(groupedOuterOp, [a, b, bounds], options);

export const groupOps = { "grouped-matmul": groupedMatmulOp, "grouped-outer": groupedOuterOp };
