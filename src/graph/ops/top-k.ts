/** @file The places of the largest or smallest elements of rows. */
import { LowrankError, sizeOf } from "../../util/index.ts";
import { node, noGradient, shapeText, typeText, type Lowering, type Op, type Tensor } from "../op.ts";
import { int64s } from "./movement.ts";

export interface Ranking {
  readonly k: number;
  /** The largest first, or the smallest. */
  readonly largest: boolean;
}

const lowerPlain = (lowering: Lowering, x: string, k: number, largest: boolean): string =>
  lowering.emitAll(2, "TopK", [x, int64s(lowering, [k])], { largest: { int: Number(largest) } })[1];

/** Elements of a block, where searching rows of this size in two levels costs less than the runtime's search. */
const blockOf = (size: number, k: number): number | undefined =>
  size < 4096 ? undefined : [64, 32, 16].find((block) => size % block === 0 && size / block >= 4 * k);

/**
 * The k largest lie in the k blocks with the largest maxima. With these in their order and the first of equal ones chosen on both levels,
 * the first of equal elements is chosen.
 */
const lowerInBlocks = (lowering: Lowering, x: string, shape: readonly number[], k: number, block: number): string => {
  const size = shape[shape.length - 1];
  const [rows, blocks] = [sizeOf(shape) / size, size / block];
  const maxima = lowering.emit("ReduceMax", [lowering.view(x, [rows, blocks, block]), int64s(lowering, [2])], { keepdims: { int: 0 } });
  const [chosen] = lowering.emitAll(2, "TopK", [lowerPlain(lowering, maxima, k, true), int64s(lowering, [k])], { largest: { int: 0 } });
  const starts = lowering.constant({
    dtype: "i64",
    shape: [rows, 1],
    data: BigInt64Array.from({ length: rows }, (_, row) => BigInt(row * blocks)),
  });
  const elements = lowering.emit("Gather", [lowering.view(x, [rows * blocks, block]), lowering.emit("Add", [chosen, starts])], {
    axis: { int: 0 },
  });
  const found = lowerPlain(lowering, lowering.view(elements, [rows, k * block]), k, true); // (rows, k) of k·block
  const width = int64s(lowering, [block]);
  const place = lowering.emit("GatherElements", [chosen, lowering.emit("Div", [found, width])], { axis: { int: 1 } });
  const offset = lowering.emit("Mod", [found, width]);
  return lowering.view(lowering.emit("Add", [lowering.emit("Mul", [place, width]), offset]), [...shape.slice(0, -1), k]);
};

const topKOp: Op<Ranking> = {
  name: "top-k",
  infer: ([x], { k }) => {
    const size = x.shape.at(-1);
    if (x.dtype !== "f32" && x.dtype !== "i32")
      throw new LowrankError("shape-mismatch", `top-k: ${typeText(x)} has no order here; float32 or int32 is needed.`);
    if (size === undefined || !(k > 0 && k <= size))
      throw new LowrankError("shape-mismatch", `top-k: ${shapeText(x.shape)} has no ${k} elements along its last axis.`);
    return { dtype: "i32", shape: [...x.shape.slice(0, -1), k] };
  },
  grad: noGradient,
  onnx: (lowering, [x], { inputs: [{ shape }], attributes: { k, largest } }) => {
    const block = largest && lowering.device === "cpu" ? blockOf(shape[shape.length - 1], k) : undefined;
    const indices = block === undefined ? lowerPlain(lowering, x, k, largest) : lowerInBlocks(lowering, x, shape, k, block);
    return lowering.emit("Cast", [indices], { to: { int: 6 } });
  },
  reference: ([x], { shape, attributes: { k, largest } }) => {
    const size = x.shape[x.shape.length - 1];
    const result = new Int32Array(sizeOf(shape));
    for (let row = 0; row * k < result.length; row++) {
      const values = Array.from({ length: size }, (_, index) => Number(x.data[row * size + index]));
      const order = [...values.keys()].sort((a, b) => (largest ? values[b] - values[a] : values[a] - values[b]) || a - b);
      result.set(order.slice(0, k), row * k);
    }
    return result;
  },
};

/** Indices (…, k) int32 of the k largest elements of each row, in order; of equal ones the first. No gradient. */
export const topK = (x: Tensor, k: number): Tensor => node(topKOp, [x], { k, largest: true });

/** Indices (…, N) int32 that sort each row from the smallest to the largest; equal ones keep their order. No gradient. */
export const argsort = (x: Tensor): Tensor => node(topKOp, [x], { k: x.shape.at(-1)!, largest: false });

export const topKOps = { "top-k": topKOp };
