/** @file Choosing by index: rows of a table and their transpose, one element of each row and its transpose. */
import { LowrankError, sizeOf } from "../../util/index.ts";
import { node, shapeText, type Op, type Tensor, type TensorType } from "../op.ts";
import { zeros } from "./leaf.ts";
import { int64s } from "./movement.ts";
import { sumTo } from "./reduce.ts";

const checkIndices = (name: string, indices: TensorType): void => {
  if (indices.dtype !== "i32" && indices.dtype !== "i64")
    throw new LowrankError(
      "shape-mismatch",
      `${name}: indices are ${indices.dtype} ${shapeText(indices.shape)}; int32 or int64 is needed.`,
    );
};

const gatherOp: Op<undefined> = {
  name: "gather",
  infer: ([table, indices]) => {
    checkIndices("gather", indices);
    return { dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] };
  },
  grad: ({ inputs: [table, indices] }, dy) => [table.dtype === "f32" ? scatterAdd(dy, indices, table.shape) : undefined],
  onnx: (lowering, inputs) => lowering.emit("Gather", inputs, { axis: { int: 0 } }),
  reference: ([table, indices]) => {
    const width = sizeOf(table.shape.slice(1));
    const result = table.data.slice(0, 0).constructor as Float32ArrayConstructor;
    return result.from({ length: indices.data.length * width }, (_, index) =>
      Number(table.data[Number(indices.data[Math.floor(index / width)]) * width + (index % width)]),
    );
  },
};

/** Rows of a table: result[i…] = table[indices[i…]]. */
export const gather = (table: Tensor, indices: Tensor): Tensor => node(gatherOp, [table, indices], undefined);

const scatterAddOp: Op<{ shape: readonly number[] }> = {
  name: "scatter-add",
  infer: ([rows, indices], { shape }) => {
    checkIndices("scatter-add", indices);
    if (shapeText(rows.shape) !== shapeText([...indices.shape, ...shape.slice(1)]))
      throw new LowrankError(
        "shape-mismatch",
        `scatter-add: rows ${shapeText(rows.shape)} at ${shapeText(indices.shape)} do not fit ${shapeText(shape)}.`,
      );
    return { dtype: "f32", shape };
  },
  grad: ({ inputs: [, indices] }, dy) => [gather(dy, indices)],
  onnx: (lowering, [rows, indices], { inputs, attributes: { shape } }) => {
    const base = lowering.emit("Expand", [
      lowering.constant({ dtype: "f32", shape: [1], data: new Float32Array(1) }),
      int64s(lowering, shape),
    ]);
    const places = lowering.emit("Unsqueeze", [
      inputs[1].dtype === "i64" ? indices : lowering.emit("Cast", [indices], { to: { int: 7 } }),
      int64s(lowering, [-1]),
    ]);
    return lowering.emit("ScatterND", [base, places, rows], { reduction: { text: "add" } });
  },
  reference: ([rows, indices], { shape }) => {
    const width = sizeOf(shape.slice(1));
    const result = new Float32Array(sizeOf(shape));
    for (let index = 0; index < rows.data.length; index++)
      result[Number(indices.data[Math.floor(index / width)]) * width + (index % width)] += Number(rows.data[index]);
    return result;
  },
};

/** Adds rows into zeros of `shape` at the indices: the transpose of `gather`. */
export const scatterAdd = (rows: Tensor, indices: Tensor, shape: readonly number[]): Tensor =>
  node(scatterAddOp, [rows, indices], { shape });

const pickOp: Op<undefined> = {
  name: "pick",
  infer: ([x, indices]) => {
    checkIndices("pick", indices);
    if (x.shape.length !== 2 || indices.shape.length !== 1 || indices.shape[0] !== x.shape[0])
      throw new LowrankError(
        "shape-mismatch",
        `pick: one index per row of ${shapeText(x.shape)} is needed, not ${shapeText(indices.shape)}.`,
      );
    return { dtype: x.dtype, shape: [x.shape[0], 1] };
  },
  grad: ({ inputs: [x, indices] }, dy) => [place(zeros([1, 1]), indices, dy, x.shape)],
  onnx: (lowering, [x, indices]) =>
    lowering.emit("GatherElements", [x, lowering.emit("Unsqueeze", [indices, int64s(lowering, [1])])], { axis: { int: 1 } }),
  reference: ([x, indices]) =>
    Float32Array.from({ length: x.shape[0] }, (_, row) => Number(x.data[row * x.shape[1] + Number(indices.data[row])])),
};

/** One element of each row of x (N, V): result (N, 1) is x[i, indices[i]]. */
export const pick = (x: Tensor, indices: Tensor): Tensor => node(pickOp, [x, indices], undefined);

const placeOp: Op<{ shape: readonly number[] }> = {
  name: "place",
  infer: ([base, indices, values], { shape }) => {
    checkIndices("place", indices);
    if (
      shape.length !== 2 ||
      shapeText(values.shape) !== shapeText([shape[0], 1]) ||
      (shapeText(base.shape) !== shapeText(shape) && sizeOf(base.shape) !== 1)
    )
      throw new LowrankError(
        "shape-mismatch",
        `place: values ${shapeText(values.shape)} and base ${shapeText(base.shape)} do not fit ${shapeText(shape)}.`,
      );
    return { dtype: "f32", shape };
  },
  grad: ({ inputs: [base, indices] }, dy) => [sumTo(dy, base.shape), undefined, pick(dy, indices)],
  onnx: (lowering, [base, indices, values], { inputs, shape }) => {
    const whole = shapeText(inputs[0].shape) === shapeText(shape) ? base : lowering.emit("Expand", [base, int64s(lowering, shape)]);
    const columns = lowering.emit("Unsqueeze", [indices, int64s(lowering, [1])]);
    return lowering.emit("ScatterElements", [whole, columns, values], { axis: { int: 1 }, reduction: { text: "add" } });
  },
  reference: ([base, indices, values], { shape: [N, V] }) => {
    const result = Float32Array.from({ length: N * V }, (_, index) => Number(base.data[base.data.length === 1 ? 0 : index]));
    for (let row = 0; row < N; row++) result[row * V + Number(indices.data[row])] += Number(values.data[row]);
    return result;
  },
};

/** Adds values (N, 1) to one element of each row of base, stretched to `shape` (N, V): the transpose of `pick`. */
export const place = (base: Tensor, indices: Tensor, values: Tensor, shape: readonly number[]): Tensor =>
  node(placeOp, [base, indices, values], { shape });

export const indexOps = { gather: gatherOp, "scatter-add": scatterAddOp, pick: pickOp, place: placeOp };
