/** @file Products with weights of 4 bits in blocks of 32, each with a scale of its own. They know nothing about how the weights were rounded. */
import { LowrankError, type HostTensor } from "../../util/index.ts";
import { roundHalfEven } from "../elements.ts";
import { needFloat32, node, typeText, type Op, type Tensor } from "../op.ts";
import { matmul } from "./matmul.ts";
import { slice } from "./movement.ts";

/** Weights that share a scale: neighbours along the input. */
export const int4Block = 32;

/** The number that stands for 0: a weight is (number − 8)·scale. */
const zero = 8;

const half = int4Block / 2;

/** The number at a place among those of a weight, two to a byte: −8 … 7. */
export const int4NumberAt = (data: HostTensor["data"], index: number): number =>
  ((Number(data[index >> 1]) >> (4 * (index & 1))) & 15) - zero;

const matmulReference = ([x, weights, scales]: readonly HostTensor[]): Float32Array => {
  const [M, K] = x.shape;
  const [N, blocks] = weights.shape;
  const result = new Float32Array(M * N);
  for (let m = 0; m < M; m++)
    for (let block = 0; block < blocks; block++) {
      const row = (x.data as Float32Array).subarray(m * K + block * int4Block, m * K + Math.min(K, (block + 1) * int4Block));
      const largest = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      const step = Math.fround(largest / 127);
      const inverse = largest === 0 ? 0 : Math.fround(127 / largest);
      const integers = row.map((value) => roundHalfEven(Math.fround(value * inverse)));
      for (let n = 0; n < N; n++) {
        let sum = 0;
        integers.forEach((value, k) => (sum += value * int4NumberAt(weights.data, (n * blocks + block) * int4Block + k)));
        result[m * N + n] += sum * step * Number(scales.data[n * blocks + block]);
      }
    }
  return result;
};

const checkWeight = (name: string, weights: Pick<Tensor, "dtype" | "shape">, scales: Pick<Tensor, "dtype" | "shape">, K: number): void => {
  const [N, blocks] = weights.shape;
  const fits =
    weights.dtype === "u8" &&
    weights.shape.join() === `${N},${Math.ceil(K / int4Block)},${half}` &&
    scales.shape.join() === `${N},${blocks}`;
  if (!fits)
    throw new LowrankError(
      "shape-mismatch",
      `${name}: ${typeText(weights)} with scales ${typeText(scales)} is no weight of ${K} inputs in blocks of ${int4Block}.`,
    );
};

const int4MatmulOp: Op<undefined> = {
  name: "int4-matmul",
  packs: true,
  infer: ([x, weights, scales]) => {
    needFloat32("int4-matmul", x, scales);
    if (x.shape.length !== 2) throw new LowrankError("shape-mismatch", `int4-matmul: ${typeText(x)} is no matrix.`);
    checkWeight("int4-matmul", weights, scales, x.shape[1]);
    return { dtype: "f32", shape: [x.shape[0], weights.shape[0]] };
  },
  // Rounding x counts as the identity [Bengio et al. 2013: the straight-through estimator]: dx = dy·W with the very weights of the way there.
  grad: ({ inputs: [x, weights, scales] }, dy) => [matmul(dy, int4Values({ weights, scales }, x.shape[1]))],
  onnx: (lowering, inputs, { inputs: [x, weights] }) => {
    const attributes = {
      K: { int: x.shape[1] },
      N: { int: weights.shape[0] },
      bits: { int: 4 },
      block_size: { int: int4Block },
      accuracy_level: { int: 4 }, // x in 8 bits, by the same blocks
    };
    return lowering.emit("MatMulNBits", inputs, attributes, "com.microsoft");
  },
  reference: matmulReference,
};

const int4ValuesOp: Op<undefined> = {
  name: "int4-values",
  infer: ([weights, scales]) => {
    needFloat32("int4-values", scales);
    checkWeight("int4-values", weights, scales, (weights.shape[1] ?? 0) * int4Block);
    return { dtype: "f32", shape: [weights.shape[0], weights.shape[1] * int4Block] };
  },
  grad: () => [],
  // A block is a row here: the runtime takes half the time for that than for blocks of an axis.
  onnx: (lowering, [weights, scales], { inputs: [{ shape }] }) => {
    const blocks = shape[0] * shape[1];
    const zeros = lowering.constant({
      dtype: "u8",
      shape: [Math.ceil(blocks / 2)],
      data: new Uint8Array(Math.ceil(blocks / 2)).fill(0x88),
    });
    const rows = lowering.emit(
      "DequantizeLinear",
      [lowering.nibbles(weights, [blocks, int4Block]), lowering.view(scales, [blocks]), lowering.nibbles(zeros, [blocks])],
      { axis: { int: 0 } },
    );
    return lowering.view(rows, [shape[0], shape[1] * int4Block]);
  },
  reference: ([weights, scales]) =>
    Float32Array.from(
      { length: 2 * weights.data.length },
      (_, index) => int4NumberAt(weights.data, index) * Number(scales.data[Math.floor(index / int4Block)]),
    ),
};

/** A weight (N outputs, K inputs) in 4 bits. */
export interface Int4Weight {
  /** (N, ⌈K / 32⌉, 16) uint8, two numbers a byte, the first in its low half; a weight is (number − 8)·scale. */
  readonly weights: Tensor;
  /** (N, ⌈K / 32⌉) */
  readonly scales: Tensor;
}

/**
 * x·Wᵀ for x (M, K) and a weight in 4 bits; each block of 32 values of x is rounded to 8 bits.
 * @example int4Matmul(x, { weights, scales }) // (M, N)
 */
export const int4Matmul = (x: Tensor, { weights, scales }: Int4Weight): Tensor => node(int4MatmulOp, [x, weights, scales], undefined);

/** The weight in float32: (N, K). It has no gradient. */
export const int4Values = ({ weights, scales }: Int4Weight, K: number): Tensor => {
  const whole = node(int4ValuesOp, [weights, scales], undefined);
  return whole.shape[1] === K ? whole : slice(whole, 1, 0, K);
};

export const int4Ops = { "int4-matmul": int4MatmulOp, "int4-values": int4ValuesOp };
