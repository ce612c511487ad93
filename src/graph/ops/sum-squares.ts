/** @file Sums of squares along axes, without the squares. Reduced axes stay, with size 1. */
import { sizeOf } from "../../util/index.ts";
import { ofNumbers } from "../elements.ts";
import { needFloat32, node, type Op, type Tensor } from "../op.ts";
import { broadcastStrides, offsets } from "../strides.ts";
import { multiply } from "./elementwise.ts";
import { scalar } from "./leaf.ts";
import { int64s } from "./movement.ts";
import { reduced, type Axes } from "./reduce.ts";

const sumSquaresOp: Op<Axes> = {
  name: "sum-squares",
  infer: ([x], { axes }) => {
    needFloat32("sum-squares", x);
    return reduced("sum-squares", x, axes);
  },
  grad: ({ inputs: [x] }, dy) => [multiply(x, multiply(dy, scalar(2)))],
  onnx: (lowering, [x], { attributes: { axes } }) =>
    lowering.emit("ReduceSumSquare", [x, int64s(lowering, axes)], { keepdims: { int: 1 } }),
  reference: ([x], { dtype, shape }) => {
    const result = new Float64Array(sizeOf(shape));
    const target = offsets(x.shape, broadcastStrides(shape, x.shape));
    for (let index = 0; index < target.length; index++) result[target[index]] += Number(x.data[index]) ** 2;
    return ofNumbers(dtype, result);
  },
};

/** Sum of squares over axes, which stay with size 1. */
export const sumSquares = (x: Tensor, axes: readonly number[]): Tensor => node(sumSquaresOp, [x], { axes });

export const sumSquaresOps = { "sum-squares": sumSquaresOp };
