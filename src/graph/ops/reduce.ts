/** @file Sums, their transpose (broadcasting) and maxima along axes. Reduced axes stay, with size 1. */
import { LowrankError, sizeOf } from "../../util/index.ts";
import { ofNumbers, take } from "../elements.ts";
import { node, noGradient, sameShape, shapeText, type Op, type Tensor, type TensorType } from "../op.ts";
import { broadcastShape, broadcastStrides, offsets } from "../strides.ts";
import { int64s, reshape } from "./movement.ts";

export interface Axes {
  readonly axes: readonly number[];
}

/** The type of a reduction: the axes have size 1. */
export const reduced = (name: string, x: TensorType, axes: readonly number[]): TensorType => {
  if (axes.some((axis) => !(axis in x.shape)))
    throw new LowrankError("shape-mismatch", `${name}: axes ${shapeText(axes)} are not all axes of ${shapeText(x.shape)}.`);
  return { dtype: x.dtype, shape: x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)) };
};

const sumOp: Op<Axes> = {
  name: "sum",
  infer: ([x], { axes }) => reduced("sum", x, axes),
  grad: ({ inputs: [x] }, dy) => [broadcast(dy, x.shape)],
  onnx: (lowering, [x], { attributes: { axes } }) => lowering.emit("ReduceSum", [x, int64s(lowering, axes)], { keepdims: { int: 1 } }),
  reference: ([x], { dtype, shape }) => {
    const result = new Float64Array(sizeOf(shape));
    const target = offsets(x.shape, broadcastStrides(shape, x.shape));
    for (let index = 0; index < target.length; index++) result[target[index]] += Number(x.data[index]);
    return ofNumbers(dtype, result);
  },
};

/** Sum over axes, which stay with size 1. */
export const sum = (x: Tensor, axes: readonly number[]): Tensor => (axes.length === 0 ? x : node(sumOp, [x], { axes }));

/** Sum of everything, as a scalar []. */
export const total = (x: Tensor): Tensor =>
  reshape(
    sum(
      x,
      x.shape.map((_, axis) => axis),
    ),
    [],
  );

const broadcastOp: Op<{ shape: readonly number[] }> = {
  name: "broadcast",
  infer: ([x], { shape }) => {
    if (!sameShape(broadcastShape("broadcast", x.shape, shape), shape))
      throw new LowrankError("shape-mismatch", `broadcast: ${shapeText(x.shape)} does not stretch to ${shapeText(shape)}.`);
    return { dtype: x.dtype, shape };
  },
  grad: ({ inputs: [x] }, dy) => [sumTo(dy, x.shape)],
  onnx: (lowering, [x], { attributes: { shape } }) => lowering.emit("Expand", [x, int64s(lowering, shape)]),
  reference: ([x], { shape }) => take(x, offsets(shape, broadcastStrides(x.shape, shape))),
};

/** x stretched to a shape by NumPy's rules. */
export const broadcast = (x: Tensor, shape: readonly number[]): Tensor =>
  sameShape(x.shape, shape) ? x : node(broadcastOp, [x], { shape });

/** The transpose of broadcasting: sums a gradient down to the shape that was stretched. */
export const sumTo = (dy: Tensor, shape: readonly number[]): Tensor => {
  const shift = dy.shape.length - shape.length;
  const axes = dy.shape.flatMap((size, axis) => (axis < shift || (shape[axis - shift] === 1 && size !== 1) ? [axis] : []));
  return axes.length === 0 ? dy : reshape(sum(dy, axes), shape);
};

const maxOp: Op<Axes> = {
  name: "max",
  infer: ([x], { axes }) => reduced("max", x, axes),
  // Used for the stable log-sum-exp, where its gradient cancels; nothing differentiates through it.
  grad: noGradient,
  onnx: (lowering, [x], { attributes: { axes } }) => lowering.emit("ReduceMax", [x, int64s(lowering, axes)], { keepdims: { int: 1 } }),
  reference: ([x], { dtype, shape }) => {
    const result = new Float64Array(sizeOf(shape)).fill(-Infinity);
    const target = offsets(x.shape, broadcastStrides(shape, x.shape));
    for (let index = 0; index < target.length; index++) result[target[index]] = Math.max(result[target[index]], Number(x.data[index]));
    return ofNumbers(dtype, result);
  },
};

/** Largest value over axes, which stay with size 1; no gradient. */
export const max = (x: Tensor, axes: readonly number[]): Tensor => (axes.length === 0 ? x : node(maxOp, [x], { axes }));

export const reduceOps = { sum: sumOp, broadcast: broadcastOp, max: maxOp };
