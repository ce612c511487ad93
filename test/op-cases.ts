/** @file Small cases of every op, fed to every backend; an op without a case does not compile. It runs nothing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import {
  add,
  after,
  and,
  argsort,
  broadcast,
  cast,
  checkpoint,
  concat,
  constant,
  divide,
  equal,
  erf,
  exp,
  gather,
  groupedMatmul,
  groupedOuter,
  int4Block,
  int4Matmul,
  int4Values,
  int8Matmul,
  int8PositiveMatmul,
  integers,
  log,
  matmul,
  max,
  multiply,
  negate,
  nf4Matmul,
  pad,
  pick,
  place,
  reciprocal,
  relu,
  rematerialise,
  reshape,
  retained,
  rmsNorm,
  rotary,
  scalar,
  scale,
  scatterAdd,
  sigmoid,
  silu,
  slice,
  softmax,
  sqrt,
  subtract,
  sum,
  sumSquares,
  tanh,
  topK,
  transpose,
  weight,
  where,
  withGradient,
  type Int4Weight,
  type Int8Weight,
  type Nf4Weight,
  type OpName,
  type Tensor,
} from "../src/graph/index.ts";
import { f32, i32, narrowBf16, narrowF16, packNf4, random, sizeOf, type HostTensor } from "../src/util/index.ts";

export interface OpCase {
  readonly about: string;
  /** What is fed, one tensor for each parameter of `build`. */
  readonly inputs: readonly HostTensor[];
  readonly build: (...inputs: readonly Tensor[]) => Tensor;
  /** Places of float32 inputs that the op gives no gradient to. */
  readonly without?: readonly number[];
  /** Whether the op rounds its input to few steps: differences then say nothing about the gradient, which has a test of its own. */
  readonly rounds?: boolean;
  /** The same without rounding of the input, where that is left to the device. */
  readonly unrounded?: (...inputs: readonly Tensor[]) => Tensor;
}

/** Standard normal values; the shape is the seed, so equal shapes hold equal values unless `stream` differs. */
export const normal = (shape: readonly number[], stream = 0): HostTensor => {
  const generator = random(7, stream, ...shape);
  return f32(
    Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()),
    shape,
  );
};

/** Values in [0.5, 2), away from the poles of log, sqrt and division. */
const positive = (shape: readonly number[], stream = 0): HostTensor => {
  const generator = random(8, stream, ...shape);
  return f32(
    Float32Array.from({ length: sizeOf(shape) }, () => 0.5 + 1.5 * generator.uniform()),
    shape,
  );
};

const i64 = (values: readonly number[], shape: readonly number[] = [values.length]): HostTensor => ({
  dtype: "i64",
  shape,
  data: BigInt64Array.from(values, BigInt),
});

const bool = (values: readonly number[], shape: readonly number[] = [values.length]): HostTensor => ({
  dtype: "bool",
  shape,
  data: Uint8Array.from(values),
});

const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
/** A weight in a file of its own, `before` bytes into it. */
export const storedWeight = ({ dtype, shape, data }: HostTensor, before = 0): Tensor => {
  const path = join(folder, `${files++}.bin`);
  const content = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  writeFileSync(path, Buffer.concat([new Uint8Array(before).fill(255), content, new Uint8Array(5).fill(255)]));
  return weight("stored", { path, offset: before, bytes: content.byteLength, dtype, shape });
};

/** Rows that grow tenfold from one to the next. */
const matrixOfRows = (rows: number, columns: number): HostTensor => {
  const values = normal([rows, columns]).data as Float32Array;
  return f32(
    values.map((value, index) => value * 10 ** Math.floor(index / columns)),
    [rows, columns],
  );
};

/** A weight (K, N) of small integers with scales, and another rounding of it for the way back. */
const int8Weight = (K: number, N: number): Int8Weight => {
  const integers = (shape: number[], stream: number): Tensor =>
    constant({ dtype: "i8", shape, data: Int8Array.from(normal(shape, stream).data as Float32Array, (value) => Math.round(40 * value)) });
  const scales = (size: number): Tensor => constant(positive([size]));
  return { weights: integers([K, N], 1), scales: scales(N), back: { weights: integers([N, K], 2), scales: scales(K) } };
};

/** x·W for the numbers that the integers stand for. */
const int8Exact = (x: Tensor, { weights, scales }: Int8Weight): Tensor => matmul(x, multiply(cast(weights, "f32"), scales));

/** A weight (out, in) in 4-bit NormalFloat. */
const nf4Weight = (outFeatures: number, inFeatures: number): Nf4Weight => {
  const { packed, absmax } = packNf4(normal([outFeatures, inFeatures], 1).data as Float32Array);
  return { packed: constant({ dtype: "u8", shape: [packed.length], data: packed }), absmax: constant(f32(absmax)), outFeatures };
};

/** A weight of K inputs and N outputs in 4 bits; what is behind the K-th input is 0. */
export const int4Weight = (K: number, N: number): Int4Weight => {
  const blocks = Math.ceil(K / int4Block);
  const generator = random(9, K, N);
  const number = (index: number): number => (index % (blocks * int4Block) < K ? generator.integer(16) : 8);
  const data = Uint8Array.from({ length: (N * blocks * int4Block) / 2 }, (_, index) => number(2 * index) + 16 * number(2 * index + 1));
  return { weights: constant({ dtype: "u8", shape: [N, blocks, int4Block / 2], data }), scales: constant(positive([N, blocks])) };
};

/** x·Wᵀ for the numbers that the 4-bit numbers stand for. */
const int4Exact = (x: Tensor, weight: Int4Weight): Tensor => matmul(x, int4Values(weight, x.shape[1]), { transposeB: true });

const unary = (apply: (x: Tensor) => Tensor, values = normal): OpCase[] => [
  { about: "a matrix", inputs: [values([2, 3])], build: apply },
  { about: "a scalar", inputs: [values([])], build: apply },
];

const binary = (apply: (a: Tensor, b: Tensor) => Tensor, divisor = normal): OpCase[] => [
  { about: "equal shapes", inputs: [normal([2, 3], 1), divisor([2, 3], 2)], build: apply },
  { about: "a row", inputs: [normal([2, 3]), divisor([3])], build: apply },
  { about: "a column by a row", inputs: [normal([2, 1]), divisor([1, 3])], build: apply },
  { about: "a scalar on the left", inputs: [normal([]), divisor([2, 3])], build: apply },
  { about: "one tensor twice", inputs: [positive([3])], build: (x) => apply(x, x) },
  { about: "int32", inputs: [i32([7, -8, 9]), i32([2, 3, 4])], build: apply },
  { about: "int64", inputs: [i64([7, -8, 9]), i64([2, 3, 4])], build: apply },
];

const angles = normal([5, 4]).data as Float32Array;
const cosines = f32(angles.map(Math.cos), [5, 4]);
const sines = f32(angles.map(Math.sin), [5, 4]);

const logistic = (x: Tensor): Tensor => divide(scalar(1), add(scalar(1), exp(negate(x))));

export const opCases = {
  input: [
    { about: "float32", inputs: [normal([2, 3])], build: (x) => x },
    { about: "int64", inputs: [i64([1, 2 ** 40])], build: (x) => x },
  ],
  weight: [
    { about: "float32 at an unaligned offset", inputs: [], build: () => storedWeight(normal([2, 3]), 3) },
    { about: "int8", inputs: [], build: () => storedWeight({ dtype: "i8", shape: [4], data: Int8Array.of(-128, -1, 0, 127) }) },
  ],
  constant: [
    { about: "small", inputs: [], build: () => constant(normal([2, 3])) },
    { about: "too large to be shared", inputs: [], build: () => constant(normal([5, 5])) },
    { about: "int32", inputs: [], build: () => integers([3, -1], [2, 1]) },
    { about: "bool", inputs: [], build: () => constant(bool([1, 0, 1])) },
  ],
  reshape: [
    { about: "with a size left open", inputs: [normal([2, 6])], build: (x) => reshape(x, [3, -1]) },
    { about: "to a scalar", inputs: [normal([1, 1])], build: (x) => reshape(x, []) },
    { about: "from a scalar", inputs: [normal([])], build: (x) => reshape(x, [1, 1]) },
  ],
  transpose: [
    { about: "a cycle of three axes", inputs: [normal([2, 3, 4])], build: (x) => transpose(x, [2, 0, 1]) },
    { about: "int64", inputs: [i64([1, 2, 3, 4, 5, 6], [2, 3])], build: (x) => transpose(x, [1, 0]) },
  ],
  slice: [
    { about: "the middle of an inner axis", inputs: [normal([2, 5, 2])], build: (x) => slice(x, 1, 1, 4) },
    { about: "int32", inputs: [i32([1, 2, 3])], build: (x) => slice(x, 0, 1, 3) },
  ],
  pad: [
    { about: "both ends of an inner axis", inputs: [normal([2, 3, 2])], build: (x) => pad(x, 1, 2, 1) },
    { about: "one end", inputs: [normal([3])], build: (x) => pad(x, 0, 0, 2) },
  ],
  concat: [
    { about: "three along the last axis", inputs: [normal([2, 1]), normal([2, 3]), normal([2, 2])], build: (...parts) => concat(parts, 1) },
    { about: "one tensor twice", inputs: [normal([2, 3])], build: (x) => concat([x, x], 0) },
    { about: "int32", inputs: [i32([1]), i32([2, 3])], build: (a, b) => concat([a, b], 0) },
  ],
  sum: [
    { about: "the last axis", inputs: [normal([2, 3])], build: (x) => sum(x, [1]) },
    { about: "two axes of three", inputs: [normal([2, 3, 2])], build: (x) => sum(x, [0, 2]) },
    { about: "no axis", inputs: [normal([2, 3])], build: (x) => add(sum(x, []), sum(x, [0])) },
    { about: "int32", inputs: [i32([1, 2, 3, 4], [2, 2])], build: (x) => sum(x, [0]) },
    { about: "int64", inputs: [i64([1, 2 ** 40, 3, 4], [2, 2])], build: (x) => sum(x, [1]) },
  ],
  broadcast: [
    { about: "a column and a new axis", inputs: [normal([3, 1])], build: (x) => broadcast(x, [2, 3, 4]) },
    { about: "a scalar", inputs: [normal([])], build: (x) => broadcast(x, [2, 2]) },
    { about: "bool", inputs: [bool([1, 0])], build: (x) => broadcast(x, [2, 2]) },
    { about: "int64", inputs: [i64([2 ** 40, 0])], build: (x) => broadcast(x, [3, 2]) },
  ],
  "sum-squares": [
    { about: "the last axis", inputs: [normal([2, 3])], build: (x) => sumSquares(x, [1]) },
    { about: "two axes of three", inputs: [normal([2, 3, 2])], build: (x) => sumSquares(x, [0, 2]) },
  ],
  max: [
    { about: "the last axis", inputs: [normal([2, 3])], build: (x) => max(x, [1]), without: [0] },
    { about: "no axis", inputs: [normal([2, 3])], build: (x) => max(max(x, []), [0]), without: [0] },
    { about: "int32", inputs: [i32([1, 5, -3, -4], [2, 2])], build: (x) => max(x, [0]) },
  ],
  add: binary(add),
  subtract: binary(subtract),
  multiply: [
    ...binary(multiply),
    { about: "a constant that begins with 1", inputs: [normal([2, 3])], build: (x) => multiply(x, constant(f32([1, 2, 3]))) },
    { about: "a constant 1 that stretches", inputs: [normal([3])], build: (x) => multiply(x, constant(f32([1, 1], [2, 1]))) },
  ],
  divide: binary(divide, positive),
  negate: unary(negate),
  exp: unary(exp),
  log: unary(log, positive),
  sqrt: unary(sqrt, positive),
  reciprocal: unary(reciprocal, positive),
  sigmoid: unary(sigmoid),
  tanh: unary(tanh),
  erf: [...unary(erf), { about: "both tails", inputs: [f32([-5, -3.01, -2.99, 0, 1e-3, 2.99, 3.01, 5])], build: (x) => erf(x) }],
  silu: unary(silu),
  relu: [{ about: "values of both signs, away from zero", inputs: [f32([-2, -0.5, 0.25, 3])], build: (x) => relu(x) }],
  equal: [
    { about: "int32 by rows and columns", inputs: [i32([1, 2, 2], [3, 1]), i32([1, 2], [1, 2])], build: equal },
    { about: "float32", inputs: [f32([0, 1, -0]), f32([0, 2, 0])], build: equal, without: [0, 1] },
    { about: "int64", inputs: [i64([2 ** 40, 1]), i64([2 ** 40, 2])], build: equal },
  ],
  and: [{ about: "stretched", inputs: [bool([1, 0], [2, 1]), bool([1, 0, 1])], build: and }],
  where: [
    { about: "both sides stretched", inputs: [bool([1, 0, 1, 0, 0, 1], [2, 3]), normal([3]), normal([])], build: where },
    { about: "the condition stretched", inputs: [bool([1, 0], [2, 1]), normal([2, 3], 1), normal([2, 3], 2)], build: where },
    { about: "int32", inputs: [bool([1, 0]), i32([1, 2]), i32([3, 4])], build: where },
  ],
  cast: [
    { about: "int32 to float32", inputs: [i32([-3, 0, 2])], build: (x) => cast(x, "f32") },
    { about: "int64 to int32", inputs: [i64([-3, 0, 2])], build: (x) => cast(x, "i32") },
    { about: "float32 to int64, towards zero", inputs: [f32([-2.7, 0.5, 2.7])], build: (x) => cast(x, "i64") },
    { about: "float32 to int32 and back", inputs: [f32([-2.7, 0.5, 2.7])], build: (x) => cast(cast(x, "i32"), "f32"), without: [0] },
    { about: "float32 to bool: all but 0", inputs: [f32([-2, 0, 0.25, 256])], build: (x) => cast(x, "bool") },
    { about: "bool to float32", inputs: [bool([1, 0])], build: (x) => cast(x, "f32") },
    {
      about: "a stored bfloat16 tensor",
      inputs: [],
      build: () => cast(storedWeight({ dtype: "bf16", shape: [3], data: narrowBf16(Float32Array.of(-2, 0.5, 3)) }), "f32"),
    },
    {
      about: "a stored float16 tensor",
      inputs: [],
      build: () => cast(storedWeight({ dtype: "f16", shape: [3], data: narrowF16(Float32Array.of(-2, 0.5, 3)) }), "f32"),
    },
  ],
  matmul: [
    ...[false, true].flatMap((transposeA) =>
      [false, true].flatMap((transposeB): OpCase[] => {
        const turns = `${transposeA ? "Aᵀ" : "A"}·${transposeB ? "Bᵀ" : "B"}`;
        const a = transposeA ? [4, 2] : [2, 4];
        const b = transposeB ? [3, 4] : [4, 3];
        const product = { transposeA, transposeB, alpha: 0.75 };
        return [
          { about: `${turns} + C`, inputs: [normal(a), normal(b), normal([2, 3])], build: (x, y, c) => matmul(x, y, product, c) },
          { about: `${turns} in batches`, inputs: [normal([2, ...a]), normal([2, ...b])], build: (x, y) => matmul(x, y, product) },
          { about: `${turns}, a batch by a matrix`, inputs: [normal([2, ...a]), normal(b)], build: (x, y) => matmul(x, y, product) },
        ];
      }),
    ),
    { about: "plain", inputs: [normal([2, 4]), normal([4, 3])], build: (a, b) => matmul(a, b) },
    { about: "plain in batches", inputs: [normal([2, 2, 4]), normal([2, 4, 3])], build: (a, b) => matmul(a, b) },
    { about: "batches that stretch", inputs: [normal([2, 1, 2, 3]), normal([2, 3, 2])], build: (a, b) => matmul(a, b) },
    {
      about: "batches that stretch, turned",
      inputs: [normal([2, 1, 2, 3]), normal([3, 2, 3])],
      build: (a, b) => matmul(a, b, { transposeB: true, alpha: 2 }),
    },
    { about: "a row added", inputs: [normal([2, 4]), normal([4, 3]), normal([3])], build: (a, b, c) => matmul(a, b, { alpha: 2 }, c) },
    { about: "a column added", inputs: [normal([2, 4]), normal([4, 3]), normal([2, 1])], build: (a, b, c) => matmul(a, b, {}, c) },
    { about: "a scalar added", inputs: [normal([2, 4]), normal([4, 3]), normal([])], build: (a, b, c) => matmul(a, b, {}, c) },
    { about: "one tensor twice", inputs: [normal([2, 3])], build: (a) => matmul(a, a, { transposeB: true }) },
  ],
  "int8-matmul": [
    {
      about: "rows of different sizes",
      inputs: [matrixOfRows(5, 8)],
      build: (x) => int8Matmul(x, int8Weight(8, 3)),
      rounds: true,
      unrounded: (x) => int8Exact(x, int8Weight(8, 3)),
    },
    {
      about: "a row of zeros",
      inputs: [f32([0, 0, 0, 0, 1, -2, 3, 0], [2, 4])],
      build: (x) => int8Matmul(x, int8Weight(4, 4)),
      rounds: true,
      unrounded: (x) => int8Exact(x, int8Weight(4, 4)),
    },
  ],
  "int8-positive-matmul": [
    {
      about: "rows with a large element, which is cut, and small ones, which round to zero",
      inputs: [],
      build: () =>
        int8PositiveMatmul(
          constant(f32([4, 0.5, 0.001, 0.25, 0.002, 0.5, 1, 0.75, 0.001, 0, 0, 0], [3, 4])),
          { sizes: constant(f32([0.5, 1, 1])), sums: constant(f32([1.251, 2.252, 0.001])) },
          { ...int8Weight(4, 3), means: constant({ dtype: "i8", shape: [3], data: Int8Array.of(20, 0, -7) }) },
        ),
      rounds: true,
      unrounded: () => int8Exact(constant(f32([0.5, 0.5, 0.001, 0.25, 0.002, 0.5, 1, 0.75, 0.001, 0, 0, 0], [3, 4])), int8Weight(4, 3)),
    },
  ],
  "row-sizes": [
    {
      about: "rows with and without anything in them",
      inputs: [],
      build: () => int8Matmul(constant(f32([0, 0, -3, 2], [2, 2])), int8Weight(2, 2)),
      rounds: true,
      unrounded: () => int8Exact(constant(f32([0, 0, -3, 2], [2, 2])), int8Weight(2, 2)),
    },
  ],
  "nf4-matmul": [
    { about: "blocks of whole rows", inputs: [normal([5, 32])], build: (x) => nf4Matmul(x, nf4Weight(6, 32)) },
    { about: "blocks over rows, and an odd number of values", inputs: [normal([2, 9])], build: (x) => nf4Matmul(x, nf4Weight(15, 9)) },
  ],
  "int4-matmul": [
    {
      about: "rows of different sizes",
      inputs: [matrixOfRows(2, 64)],
      build: (x) => int4Matmul(scale(x, 0.05), int4Weight(64, 6)),
      rounds: true,
      unrounded: (x) => int4Exact(scale(x, 0.05), int4Weight(64, 6)),
    },
    {
      about: "one row, which does not fill its blocks",
      inputs: [normal([1, 40])],
      build: (x) => int4Matmul(x, int4Weight(40, 3)),
      rounds: true,
      unrounded: (x) => int4Exact(x, int4Weight(40, 3)),
    },
    {
      about: "a row of zeros",
      inputs: [
        f32(
          Float32Array.from({ length: 64 }, (_, index) => (index < 32 ? 0 : (index % 7) - 3)),
          [2, 32],
        ),
      ],
      build: (x) => int4Matmul(x, int4Weight(32, 4)),
      rounds: true,
      unrounded: (x) => int4Exact(x, int4Weight(32, 4)),
    },
  ],
  "int4-values": [
    { about: "an odd number of blocks", inputs: [], build: () => int4Values(int4Weight(96, 3), 96) },
    { about: "blocks that are not filled", inputs: [normal([2, 5])], build: (x) => matmul(x, int4Values(int4Weight(40, 5), 40)) },
    {
      about: "stored",
      inputs: [],
      build: () => {
        const numbers = Uint8Array.from({ length: 64 }, (_, index) => 3 * index);
        const scales = constant(positive([2, 2]));
        return int4Values({ weights: storedWeight({ dtype: "u8", shape: [2, 2, 16], data: numbers }, 3), scales }, 64);
      },
    },
  ],
  softmax: [
    { about: "rows of a matrix", inputs: [normal([2, 4])], build: softmax },
    {
      about: "masked scores",
      inputs: [normal([2, 3])],
      build: (x) => softmax(add(x, constant(f32([0, -1e30, 0, 0, -1e30, -1e30], [2, 3])))),
    },
    { about: "a row that is masked wholly", inputs: [], build: () => softmax(constant(f32([-1e30, -1e30]))) },
  ],
  "rms-norm": [
    { about: "rows of a matrix", inputs: [normal([3, 4]), positive([4])], build: (x, gain) => rmsNorm(x, gain, 1e-5) },
    { about: "rows of a batch", inputs: [normal([2, 2, 3]), normal([3])], build: (x, gain) => rmsNorm(x, gain, 0.1) },
  ],
  rotary: [
    {
      about: "positions in any order",
      inputs: [normal([2, 2, 3, 8]), i64([0, 4, 2, 1, 1, 3], [2, 3]), cosines, sines],
      build: rotary,
      without: [2, 3],
    },
  ],
  gather: [
    { about: "rows, some twice", inputs: [normal([4, 2]), i32([3, 0, 3])], build: gather },
    { about: "a matrix of int64 indices", inputs: [normal([4, 2]), i64([3, 0, 1, 1], [2, 2])], build: gather },
    { about: "an int64 table", inputs: [i64([5, 2 ** 40, 7]), i32([2, 1])], build: gather },
  ],
  "scatter-add": [
    { about: "rows, some onto one place", inputs: [normal([3, 2]), i32([1, 3, 1])], build: (rows, at) => scatterAdd(rows, at, [4, 2]) },
    {
      about: "a matrix of int64 indices",
      inputs: [normal([2, 2, 2]), i64([0, 2, 2, 0], [2, 2])],
      build: (rows, at) => scatterAdd(rows, at, [3, 2]),
    },
  ],
  pick: [
    { about: "int32 indices", inputs: [normal([3, 4]), i32([3, 0, 0])], build: pick },
    { about: "int64 indices", inputs: [normal([2, 4]), i64([1, 2])], build: pick },
  ],
  place: [
    {
      about: "into a matrix",
      inputs: [normal([3, 4]), i32([3, 0, 0]), normal([3, 1])],
      build: (base, at, values) => place(base, at, values, [3, 4]),
    },
    {
      about: "int64 indices, into one value stretched",
      inputs: [normal([1, 1]), i64([1, 2]), normal([2, 1])],
      build: (base, at, values) => place(base, at, values, [2, 4]),
    },
    {
      about: "into a scalar stretched",
      inputs: [normal([]), i32([1, 2]), normal([2, 1])],
      build: (base, at, values) => place(base, at, values, [2, 4]),
    },
  ],
  "top-k": [
    { about: "the two largest of each row", inputs: [f32([0.5, 2, -1, 3, 1, 1, 0, 1], [2, 4])], build: (x) => topK(x, 2) },
    { about: "all of them", inputs: [normal([2, 2, 3])], build: (x) => topK(x, 3) },
    { about: "of long rows", inputs: [normal([2, 3, 4128])], build: (x) => topK(x, 5) },
    {
      about: "the first of equal ones in long rows",
      inputs: [
        f32(
          Float32Array.from({ length: 2 * 8192 }, (_, index) => [0, 3, 1, 2, 3, 1, 2][(index * 31 + (index >> 9)) % 7]),
          [2, 8192],
        ),
      ],
      build: (x) => topK(x, 20),
    },
    {
      about: "equal ones beside larger ones in long rows",
      inputs: [
        f32(
          Float32Array.from({ length: 4096 }, (_, index) => (index % 1024 === 1000 ? 2 : Number(index % 3 === 1))),
          [1, 4096],
        ),
      ],
      build: (x) => topK(x, 9),
    },
    { about: "int32, sorted upwards, equal ones in their order", inputs: [i32([2, 0, 1, 0, 2, 1, 0, 1])], build: argsort },
  ],
  "grouped-matmul": [
    {
      about: "groups of two rows, none and three",
      inputs: [normal([5, 4]), i64([0, 2, 2, 5]), normal([4, 3], 1), normal([4, 3], 2), normal([4, 3], 3)],
      build: (x, bounds, ...matrices) => groupedMatmul(x, bounds, matrices, { alpha: 0.75 }),
    },
    {
      about: "turned matrices, one group with all rows",
      inputs: [normal([5, 4]), i64([0, 0, 5]), normal([3, 4], 1), normal([3, 4], 2)],
      build: (x, bounds, ...matrices) => groupedMatmul(x, bounds, matrices, { transposeB: true }),
    },
    {
      about: "a single group",
      inputs: [normal([2, 4]), i64([0, 2]), normal([4, 3])],
      build: (x, bounds, w) => groupedMatmul(x, bounds, [w]),
    },
  ],
  "grouped-outer": [
    {
      about: "the middle group",
      inputs: [normal([5, 4]), normal([5, 3]), i64([0, 1, 4, 5])],
      build: (a, b, bounds) => groupedOuter(a, b, bounds, { group: 1, groups: 3, alpha: 0.75 }),
    },
    {
      about: "an empty group",
      inputs: [normal([5, 4]), normal([5, 3]), i64([0, 5, 5])],
      build: (a, b, bounds) => groupedOuter(a, b, bounds, { group: 1, groups: 2, alpha: 1 }),
    },
  ],
  "with-gradient": [
    {
      about: "a saved value in the rule",
      inputs: [normal([2, 3])],
      build: (x) => {
        const y = logistic(x);
        return withGradient(y, [x], [y], (dy, _, [saved]) => [multiply(dy, multiply(saved, subtract(scalar(1), saved)))]);
      },
    },
    {
      about: "two sources",
      inputs: [normal([2, 3], 1), normal([2, 3], 2)],
      build: (a, b) => withGradient(multiply(a, b), [a, b], [], (dy, [x, y]) => [multiply(dy, y), multiply(dy, x)]),
    },
  ],
  checkpoint: [
    { about: "a chain", inputs: [normal([2, 3])], build: (x) => checkpoint(tanh(exp(scale(x, 0.5))), [x]) },
    {
      about: "two sources",
      inputs: [normal([2, 3]), normal([3, 3])],
      build: (x, w) => checkpoint(add(x, tanh(matmul(x, w))), [x, w]),
    },
  ],
  rematerialise: [
    { about: "a chain", inputs: [normal([2, 3])], build: (x) => multiply(rematerialise(exp(scale(x, 0.5)), x), x) },
    {
      about: "of two that are used together",
      inputs: [normal([2, 3]), normal([3, 3])],
      build: (x, w) => matmul(rematerialise(tanh(x), x), rematerialise(exp(w), w)),
    },
  ],
  retained: [
    { about: "alone", inputs: [normal([2, 3])], build: (x) => multiply(retained(exp(scale(x, 0.5))), x) },
    {
      about: "within what is computed again",
      inputs: [normal([2, 3])],
      // The rule of the retained value reads a copy of x that is made again.
      build: (x) =>
        checkpoint(
          (() => {
            const y = scale(x, 0.5);
            return tanh(withGradient(retained(exp(y)), [y], [], (dy, [again]) => [multiply(dy, exp(again))]));
          })(),
          [x],
        ),
    },
  ],
  after: [
    { about: "a matrix after one number", inputs: [normal([2, 3]), normal([1])], build: after, without: [1] },
    { about: "a matrix after a matrix", inputs: [normal([2, 3]), normal([4])], build: after, without: [1] },
    { about: "a scalar after a matrix", inputs: [normal([]), normal([4])], build: after, without: [1] },
    { about: "a matrix after a scalar", inputs: [normal([2, 3]), normal([])], build: after, without: [1] },
  ],
} satisfies Record<OpName, readonly OpCase[]>;
