/** @file Choosing by index: rows of a table and their transpose, one element of each row and its transpose. */
import { LowrankError, sizeOf, type HostTensor } from "../../util/index.ts";
import { take } from "../elements.ts";
import { needFloat32, node, sameShape, shapeText, typeText, type Lowering, type Op, type Tensor, type TensorType } from "../op.ts";
import { zeros } from "./leaf.ts";
import { int64s } from "./movement.ts";
import { sumTo } from "./reduce.ts";

const checkIndices = (name: string, indices: TensorType): void => {
  if (indices.dtype !== "i32" && indices.dtype !== "i64")
    throw new LowrankError("shape-mismatch", `${name}: indices are ${typeText(indices)}; int32 or int64 is needed.`);
};

/** One index, checked against what it chooses from. */
const chosen = (name: string, indices: HostTensor, at: number, size: number): number => {
  const index = Number(indices.data[at]);
  if (index < 0 || index >= size) throw new LowrankError("backend-failed", `${name}: index ${index} is outside 0 … ${size - 1}.`);
  return index;
};

const gatherOp: Op<undefined> = {
  name: "gather",
  infer: ([table, indices]) => {
    checkIndices("gather", indices);
    if (table.shape.length === 0)
      throw new LowrankError("shape-mismatch", `gather: ${shapeText(table.shape)} has no rows to choose by ${shapeText(indices.shape)}.`);
    return { dtype: table.dtype, shape: [...indices.shape, ...table.shape.slice(1)] };
  },
  grad: ({ inputs: [table, indices] }, dy) => [table.dtype === "f32" ? scatterAdd(dy, indices, table.shape) : undefined],
  onnx: (lowering, inputs) => lowering.emit("Gather", inputs, { axis: { int: 0 } }),
  reference: ([table, indices]) => {
    const width = sizeOf(table.shape.slice(1));
    const at = (_: unknown, index: number): number =>
      chosen("gather", indices, Math.floor(index / width), table.shape[0]) * width + (index % width);
    return take(table, Int32Array.from({ length: indices.data.length * width }, at));
  },
};

/** Rows of a table: result[i…] = table[indices[i…]]. */
export const gather = (table: Tensor, indices: Tensor): Tensor => node(gatherOp, [table, indices], undefined);

const scatterAddOp: Op<{ shape: readonly number[] }> = {
  name: "scatter-add",
  infer: ([rows, indices], { shape }) => {
    needFloat32("scatter-add", rows);
    checkIndices("scatter-add", indices);
    if (shape.length === 0 || !sameShape(rows.shape, [...indices.shape, ...shape.slice(1)]))
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
    // Turned before they are widened: WebGPU turns integers of 32 bits only.
    const turned = lowering.view(indices, [...inputs[1].shape, 1]);
    const places = inputs[1].dtype === "i64" ? turned : lowering.emit("Cast", [turned], { to: { int: 7 } });
    return lowering.emit("ScatterND", [base, places, rows], { reduction: { text: "add" } });
  },
  reference: ([rows, indices], { shape }) => {
    const width = sizeOf(shape.slice(1));
    const result = new Float32Array(sizeOf(shape));
    for (let index = 0; index < rows.data.length; index++)
      result[chosen("scatter-add", indices, Math.floor(index / width), shape[0]) * width + (index % width)] += Number(rows.data[index]);
    return result;
  },
};

/** Adds rows into zeros of `shape` at the indices: the transpose of `gather`. */
export const scatterAdd = (rows: Tensor, indices: Tensor, shape: readonly number[]): Tensor =>
  node(scatterAddOp, [rows, indices], { shape });

// Not Unsqueeze, which WebGPU leaves to the CPU for integers.
const asColumn = (lowering: Lowering, indices: string): string => lowering.view(indices, [-1, 1]); // (N, 1)

const pickOp: Op<undefined> = {
  name: "pick",
  infer: ([x, indices]) => {
    needFloat32("pick", x);
    checkIndices("pick", indices);
    if (x.shape.length !== 2 || indices.shape.length !== 1 || indices.shape[0] !== x.shape[0])
      throw new LowrankError(
        "shape-mismatch",
        `pick: one index per row of ${shapeText(x.shape)} is needed, not ${shapeText(indices.shape)}.`,
      );
    return { dtype: "f32", shape: [x.shape[0], 1] };
  },
  grad: ({ inputs: [x, indices] }, dy) => [place(zeros([1, 1]), indices, dy, x.shape)],
  onnx: (lowering, [x, indices]) => lowering.emit("GatherElements", [x, asColumn(lowering, indices)], { axis: { int: 1 } }),
  reference: ([x, indices]) =>
    take(
      x,
      Int32Array.from({ length: x.shape[0] }, (_, row) => row * x.shape[1] + chosen("pick", indices, row, x.shape[1])),
    ),
};

/** One element of each row of x (N, V): result (N, 1) is x[i, indices[i]]. */
export const pick = (x: Tensor, indices: Tensor): Tensor => node(pickOp, [x, indices], undefined);

const placeOp: Op<{ shape: readonly number[] }> = {
  name: "place",
  infer: ([base, indices, values], { shape }) => {
    needFloat32("place", base, values);
    checkIndices("place", indices);
    const [N] = shape;
    const fits = shape.length === 2 && sameShape(indices.shape, [N]) && sameShape(values.shape, [N, 1]);
    const stretches = sameShape(base.shape, shape) || (sizeOf(base.shape) === 1 && base.shape.length <= 2);
    if (!fits || !stretches)
      throw new LowrankError(
        "shape-mismatch",
        `place: indices ${shapeText(indices.shape)}, values ${shapeText(values.shape)} and base ${shapeText(base.shape)} do not fit ${shapeText(shape)}.`,
      );
    return { dtype: "f32", shape };
  },
  grad: ({ inputs: [base, indices] }, dy) => [sumTo(dy, base.shape), undefined, pick(dy, indices)],
  onnx: (lowering, [base, indices, values], { inputs, shape }) => {
    const whole = sameShape(inputs[0].shape, shape) ? base : lowering.emit("Expand", [base, int64s(lowering, shape)]);
    return lowering.emit("ScatterElements", [whole, asColumn(lowering, indices), values], { axis: { int: 1 }, reduction: { text: "add" } });
  },
  reference: ([base, indices, values], { shape: [N, V] }) => {
    const result = Float32Array.from({ length: N * V }, (_, index) => Number(base.data[base.data.length === 1 ? 0 : index]));
    for (let row = 0; row < N; row++) result[row * V + chosen("place", indices, row, V)] += Number(values.data[row]);
    return result;
  },
};

/** Adds values (N, 1) to one element of each row of base, stretched to `shape` (N, V): the transpose of `pick`. */
export const place = (base: Tensor, indices: Tensor, values: Tensor, shape: readonly number[]): Tensor =>
  node(placeOp, [base, indices, values], { shape });

export const indexOps = { gather: gatherOp, "scatter-add": scatterAddOp, pick: pickOp, place: placeOp };
