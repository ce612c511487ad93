/** @file Ops that move elements without computing: reshape, transpose, slice and its transpose pad, concat. */
import { f32, i32, LowrankError, sizeOf } from "../../util/index.ts";
import { emptyLike, take } from "../elements.ts";
import { needFloat32, node, sameShape, shapeText, typeText, type Lowering, type Op, type Tensor } from "../op.ts";
import { offsets, stridesOf } from "../strides.ts";

/** An int64 list, as ONNX takes shapes and axes. */
export const int64s = (lowering: Lowering, values: readonly number[]): string =>
  lowering.constant({ dtype: "i64", shape: [values.length], data: BigInt64Array.from(values, BigInt) });

const reshapeOp: Op<{ shape: readonly number[] }> = {
  name: "reshape",
  isView: true,
  infer: ([x], { shape }) => {
    if (sizeOf(x.shape) !== sizeOf(shape) || !shape.every(Number.isInteger))
      throw new LowrankError("shape-mismatch", `reshape: ${shapeText(x.shape)} does not hold as many elements as ${shapeText(shape)}.`);
    return { dtype: x.dtype, shape };
  },
  grad: ({ inputs: [x] }, dy) => [reshape(dy, x.shape)],
  onnx: (lowering, [x], { attributes }) => lowering.view(x, attributes.shape),
  reference: ([x]) => x.data,
};

/** The same elements in another shape; −1 stands for what is left. */
export const reshape = (x: Tensor, shape: readonly number[]): Tensor => {
  const known = sizeOf(shape.filter((size) => size !== -1));
  const whole = shape.map((size) => (size === -1 ? sizeOf(x.shape) / known : size));
  return sameShape(whole, x.shape) ? x : node(reshapeOp, [x], { shape: whole });
};

const transposeOp: Op<{ order: readonly number[] }> = {
  name: "transpose",
  infer: ([x], { order }) => {
    if (order.length !== x.shape.length || new Set(order).size !== order.length || order.some((axis) => !(axis in x.shape)))
      throw new LowrankError("shape-mismatch", `transpose: order ${shapeText(order)} is no order of the axes of ${shapeText(x.shape)}.`);
    return { dtype: x.dtype, shape: order.map((axis) => x.shape[axis]) };
  },
  grad: ({ attributes: { order } }, dy) => [
    transpose(
      dy,
      order.map((_, axis) => order.indexOf(axis)),
    ),
  ],
  onnx: (lowering, [x], { shape, inputs: [from], attributes: { order } }) => {
    const longer = order.filter((axis) => from.shape[axis] !== 1);
    // Where only axes of size 1 move, no element does.
    const isView = longer.every((axis, index) => index === 0 || longer[index - 1] < axis);
    return isView ? lowering.view(x, shape) : lowering.emit("Transpose", [x], { perm: { ints: order } });
  },
  reference: ([x], { shape, attributes: { order } }) => {
    const strides = stridesOf(x.shape);
    return take(
      x,
      offsets(
        shape,
        order.map((axis) => strides[axis]),
      ),
    );
  },
};

/** Axes in another order: axis i of the result is axis `order[i]` of x. */
export const transpose = (x: Tensor, order: readonly number[]): Tensor => node(transposeOp, [x], { order });

export interface Span {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

const sliceOp: Op<Span> = {
  name: "slice",
  infer: ([x], { axis, start, end }) => {
    if (!(start >= 0 && start < end && end <= x.shape[axis]))
      throw new LowrankError("shape-mismatch", `slice: ${start}…${end} is not within axis ${axis} of ${shapeText(x.shape)}.`);
    return { dtype: x.dtype, shape: x.shape.map((size, index) => (index === axis ? end - start : size)) };
  },
  grad: ({ inputs: [x], attributes: { axis, start, end } }, dy) => [pad(dy, axis, start, x.shape[axis] - end)],
  // WebGPU slices numbers with a point only, and gathers integers as well.
  onnx: (lowering, [x], { dtype, attributes: { axis, start, end } }) =>
    lowering.device === "webgpu" && dtype === "i32"
      ? lowering.emit("Gather", [x, lowering.constant(i32(Array.from({ length: end - start }, (_, index) => start + index)))], {
          axis: { int: axis },
        })
      : lowering.emit("Slice", [x, int64s(lowering, [start]), int64s(lowering, [end]), int64s(lowering, [axis])]),
  reference: ([x], { shape, attributes: { axis, start } }) => {
    const strides = stridesOf(x.shape);
    return take(x, offsets(shape, strides, start * strides[axis]));
  },
};

/** Elements `start … end − 1` along one axis. */
export const slice = (x: Tensor, axis: number, start: number, end: number): Tensor =>
  start === 0 && end === x.shape[axis] ? x : node(sliceOp, [x], { axis, start, end });

export interface Padding {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

const padOp: Op<Padding> = {
  name: "pad",
  infer: ([x], { axis, before, after }) => {
    needFloat32("pad", x);
    if (!(axis in x.shape && before >= 0 && after >= 0))
      throw new LowrankError("shape-mismatch", `pad: ${before} before and ${after} after axis ${axis} do not fit ${shapeText(x.shape)}.`);
    return { dtype: x.dtype, shape: x.shape.map((size, index) => (index === axis ? before + size + after : size)) };
  },
  grad: ({ inputs: [x], attributes: { axis, before } }, dy) => [slice(dy, axis, before, before + x.shape[axis])],
  onnx: (lowering, [x], { shape, attributes: { axis, before, after } }) => {
    const at = (amount: number): number[] => shape.map((_, index) => (index === axis ? amount : 0));
    return lowering.emit("Pad", [x, int64s(lowering, [...at(before), ...at(after)]), lowering.constant(f32([0], []))]);
  },
  reference: ([x], { dtype, shape, attributes: { axis, before } }) => {
    const result = emptyLike({ dtype, shape });
    const strides = stridesOf(shape);
    const target = offsets(x.shape, strides, before * strides[axis]);
    for (let index = 0; index < target.length; index++) result[target[index]] = x.data[index];
    return result;
  },
  // What stands side by side is laid side by side: a tensor that was sliced into pieces gets its gradient in one pass.
  accumulate: ({ inputs: [x], attributes: { axis, before, after } }, addend) => {
    if (addend.op !== padOp) return undefined;
    const [y] = addend.inputs;
    const other = addend.attributes as Padding;
    if (other.axis !== axis) return undefined;
    if (other.before + y.shape[axis] === before) return pad(joined([y, x], axis), axis, other.before, after);
    if (before + x.shape[axis] === other.before) return pad(joined([x, y], axis), axis, before, other.after);
    return undefined;
  },
};

/** Zeros before and after, along one axis (float32). */
export const pad = (x: Tensor, axis: number, before: number, after: number): Tensor =>
  before === 0 && after === 0 ? x : node(padOp, [x], { axis, before, after });

const concatOp: Op<{ axis: number }> = {
  name: "concat",
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    if (first === undefined) throw new LowrankError("shape-mismatch", "concat: there are no tensors.");
    for (const each of inputs) {
      const continues =
        axis in each.shape &&
        each.dtype === first.dtype &&
        each.shape.length === first.shape.length &&
        each.shape.every((size, index) => index === axis || size === first.shape[index]);
      if (!continues)
        throw new LowrankError("shape-mismatch", `concat: ${typeText(each)} does not continue ${typeText(first)} along axis ${axis}.`);
    }
    const total = inputs.reduce((sum, { shape }) => sum + shape[axis], 0);
    return { dtype: first.dtype, shape: first.shape.map((size, index) => (index === axis ? total : size)) };
  },
  grad: ({ inputs, attributes: { axis } }, dy) => {
    let start = 0;
    return inputs.map(({ shape }) => {
      start += shape[axis];
      return slice(dy, axis, start - shape[axis], start);
    });
  },
  onnx: (lowering, inputs, { attributes: { axis } }) => lowering.emit("Concat", inputs, { axis: { int: axis } }),
  reference: (inputs, { dtype, shape, attributes: { axis } }) => {
    const result = emptyLike({ dtype, shape });
    const strides = stridesOf(shape);
    let start = 0;
    for (const x of inputs) {
      const target = offsets(x.shape, strides, start * strides[axis]);
      for (let index = 0; index < target.length; index++) result[target[index]] = x.data[index];
      start += x.shape[axis];
    }
    return result;
  },
};

/** Tensors one after another along an axis. */
export const concat = (inputs: readonly Tensor[], axis: number): Tensor =>
  inputs.length === 1 ? inputs[0] : node(concatOp, inputs, { axis });

/** The same, with the parts of what was made so already. */
const joined = (inputs: readonly Tensor[], axis: number): Tensor =>
  concat(
    inputs.flatMap((x) => (x.op === concatOp && (x.attributes as { axis: number }).axis === axis ? x.inputs : [x])),
    axis,
  );

/** What is sliced off, undefined for any other tensor. */
export const spanOf = (tensor: Tensor): Span | undefined => (tensor.op === (sliceOp as Op) ? (tensor.attributes as Span) : undefined);

/** The axis along which a tensor is made of its inputs, undefined for one that is made otherwise. */
export const concatAxisOf = (tensor: Tensor): number | undefined =>
  tensor.op === (concatOp as Op) ? (tensor.attributes as { axis: number }).axis : undefined;

export const movementOps = { reshape: reshapeOp, transpose: transposeOp, slice: sliceOp, pad: padOp, concat: concatOp };
