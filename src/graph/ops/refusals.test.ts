import { describe, expect, it } from "vitest";
import { f32, LowrankError } from "../../util/index.ts";
import {
  add,
  after,
  and,
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
  input,
  log,
  matmul,
  int4Matmul,
  int4Values,
  int8Matmul,
  int8PositiveMatmul,
  max,
  multiply,
  negate,
  nf4Matmul,
  pad,
  pick,
  place,
  pullback,
  reciprocal,
  relu,
  rematerialise,
  retained,
  reshape,
  rmsNorm,
  rotary,
  scalar,
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
} from "../index.ts";

const float = (...shape: number[]): Tensor => input("x", shape);
const int32 = (...shape: number[]): Tensor => input("i", shape, "i32");
const int64 = (...shape: number[]): Tensor => input("i", shape, "i64");
const bool = (...shape: number[]): Tensor => input("b", shape, "bool");

const one = { group: 0, groups: 1, alpha: 1 };

/** What is wrong, how to make it, and what the message must name. */
type Refusal = readonly [about: string, build: () => Tensor, ...names: string[]];

const notFloat = (apply: (x: Tensor) => Tensor): Refusal[] => [["int32", () => apply(int32(2, 3)), "float32", "i32 [2, 3]"]];

const arithmetic = (apply: (a: Tensor, b: Tensor) => Tensor): Refusal[] => [
  ["sizes", () => apply(float(2, 3), float(2, 4)), "[2, 3]", "[2, 4]"],
  ["sizes of unequal ranks", () => apply(float(3), float(3, 2)), "[3]", "[3, 2]"],
  ["dtypes", () => apply(float(2), int32(3)), "f32 [2]", "i32 [3]"],
  ["a constant 1 of another dtype", () => apply(scalar(1), int32(3)), "f32 []", "i32 [3]"],
];

const location = { path: "/base.safetensors", offset: 8, bytes: 20, dtype: "f32", shape: [2, 3] } as const;

/** A weight (K, N) in 8 bits. */
const eight = (K: number, N: number): Int8Weight => {
  const int8 = (...shape: number[]): Tensor => input("w", shape, "i8");
  return { weights: int8(K, N), scales: float(N), back: { weights: int8(N, K), scales: float(K) } };
};
const cut = (rows: number) => ({ sizes: float(rows), sums: float(rows) });
const centred = (K: number, N: number) => ({ ...eight(K, N), means: input("m", [N], "i8") });
const four = (outFeatures: number, inFeatures: number): Nf4Weight => {
  const count = outFeatures * inFeatures;
  return { packed: input("packed", [Math.ceil(count / 2)], "u8"), absmax: float(Math.ceil(count / 64)), outFeatures };
};

/** A weight in 4 bits, in blocks. */
const blocked = (N: number, blocks: number): Int4Weight => ({ weights: input("w", [N, blocks, 16], "u8"), scales: float(N, blocks) });

const refusals = {
  input: [
    ["a size of 0", () => float(2, 0), '"x"', "[2, 0]"],
    ["a broken size", () => float(2.5), '"x"', "[2.5]"],
    ["a negative size", () => float(-1), '"x"', "[-1]"],
  ],
  weight: [["bytes", () => weight("w", location), "/base.safetensors, tensor w", "[2, 3]", "24 bytes", "20"]],
  constant: [["values", () => constant(f32([1, 2, 3], [2, 2])), "3 values", "[2, 2]"]],
  reshape: [
    ["elements", () => reshape(float(2, 3), [4]), "[2, 3]", "[4]"],
    ["a size that does not divide", () => reshape(float(5), [2, -1]), "[5]", "[2, 2.5]"],
    ["a size left open of nothing", () => reshape(float(2, 3), [0, -1]), "[2, 3]"],
  ],
  transpose: [
    ["axes", () => transpose(float(2, 3), [0, 2]), "[2, 3]", "[0, 2]"],
    ["an axis twice", () => transpose(float(2, 3), [0, 0]), "[2, 3]", "[0, 0]"],
    ["rank", () => transpose(float(2, 3), [0]), "[2, 3]", "[0]"],
  ],
  slice: [
    ["the end", () => slice(float(2, 3), 1, 1, 4), "1…4", "[2, 3]"],
    ["the start", () => slice(float(2, 3), 1, -1, 2), "-1…2", "[2, 3]"],
    ["nothing", () => slice(float(2, 3), 1, 2, 2), "2…2", "[2, 3]"],
    ["the axis", () => slice(float(2, 3), 2, 0, 1), "axis 2", "[2, 3]"],
  ],
  pad: [
    ["a negative amount", () => pad(float(2, 3), 1, -1, 2), "-1 before", "[2, 3]"],
    ["the axis", () => pad(float(2, 3), 2, 1, 0), "axis 2", "[2, 3]"],
    ["int32", () => pad(int32(2, 3), 1, 1, 0), "i32 [2, 3]"],
  ],
  concat: [
    ["sizes", () => concat([float(2, 3), float(3, 3)], 1), "[3, 3]", "[2, 3]"],
    ["ranks", () => concat([float(2, 3), float(2)], 0), "[2]", "[2, 3]"],
    ["dtypes", () => concat([float(2), int32(2)], 0), "i32 [2]", "f32 [2]"],
    ["the axis", () => concat([float(2, 3), float(2, 3)], 2), "axis 2", "[2, 3]"],
    ["nothing", () => concat([], 0), "no tensors"],
  ],
  sum: [["axes", () => sum(float(2, 3), [2]), "[2]", "[2, 3]"]],
  "sum-squares": [
    ["axes", () => sumSquares(float(2, 3), [2]), "[2]", "[2, 3]"],
    ["element types", () => sumSquares(int32(2, 3), [0]), "i32 [2, 3]"],
  ],
  broadcast: [
    ["sizes", () => broadcast(float(2, 3), [2, 4]), "[2, 3]", "[2, 4]"],
    ["a smaller rank", () => broadcast(float(2, 3), [3]), "[2, 3]", "[3]"],
  ],
  max: [["axes", () => max(float(2, 3), [-1]), "[-1]", "[2, 3]"]],
  add: arithmetic(add),
  subtract: arithmetic(subtract),
  multiply: arithmetic(multiply),
  divide: arithmetic(divide),
  negate: notFloat(negate),
  exp: notFloat(exp),
  log: notFloat(log),
  sqrt: notFloat(sqrt),
  reciprocal: notFloat(reciprocal),
  sigmoid: notFloat(sigmoid),
  tanh: notFloat(tanh),
  erf: notFloat(erf),
  silu: notFloat(silu),
  relu: notFloat(relu),
  equal: [
    ["sizes", () => equal(int32(2), int32(3)), "[2]", "[3]"],
    ["dtypes", () => equal(int32(2), int64(2)), "i32 [2]", "i64 [2]"],
  ],
  and: [
    ["sizes", () => and(bool(2), bool(3)), "[2]", "[3]"],
    ["dtypes", () => and(int32(2), int32(2)), "i32 [2]"],
  ],
  where: [
    ["the condition", () => where(float(2), float(2), float(2)), "bool", "f32 [2]"],
    ["dtypes", () => where(bool(2), float(2), int32(2)), "f32 [2]", "i32 [2]"],
    ["sizes", () => where(bool(2), float(3), float(1)), "[2]", "[3]"],
  ],
  cast: [["a dtype that graphs do not compute in", () => cast(float(2), "bf16"), "f32 [2]", "bf16"]],
  matmul: [
    ["inner sizes", () => matmul(float(2, 3), float(4, 5)), "[2, 3]", "[4, 5]"],
    ["inner sizes, turned", () => matmul(float(2, 3), float(3, 4), { transposeB: true }), "[2, 3]", "[4, 3]"],
    ["batches", () => matmul(float(2, 1, 3), float(3, 3, 1)), "[2]", "[3]"],
    ["vectors", () => matmul(float(3), float(3, 2)), "[3]", "[3, 2]"],
    ["vectors, turned", () => matmul(float(3), float(3, 2), { transposeA: true }), "[3]", "[3, 2]"],
    ["dtypes", () => matmul(float(2, 3), int32(3, 2)), "f32 [2, 3]", "i32 [3, 2]"],
    ["the addend's sizes", () => matmul(float(2, 3), float(3, 4), {}, float(3)), "[3]", "[2, 4]"],
    ["the addend's rank", () => matmul(float(2, 3), float(3, 4), {}, float(1, 2, 4)), "[1, 2, 4]", "[2, 4]"],
    ["the addend's dtype", () => matmul(float(2, 3), float(3, 4), {}, int32(4)), "i32 [4]"],
    ["an addend in batches", () => matmul(float(2, 2, 3), float(2, 3, 4), {}, float(4)), "[4]", "[2, 2, 4]"],
  ],
  "row-sizes": [["a batch", () => int8Matmul(float(1, 2, 4), eight(4, 5)), "f32 [1, 2, 4]"]],
  "int8-matmul": [
    ["inner sizes", () => int8Matmul(float(2, 3), eight(4, 5)), "f32 [2, 3]", "i8 [4, 5]"],
    ["the scales' size", () => int8Matmul(float(2, 4), { ...eight(4, 5), scales: float(4) }), "f32 [4]"],
    ["the turned weight's shape", () => int8Matmul(float(2, 4), { ...eight(4, 5), back: eight(4, 5) }), "i8 [4, 5], f32 [5]"],
    ["the weight's dtype", () => int8Matmul(float(2, 4), { ...eight(4, 5), weights: float(4, 5) }), "f32 [4, 5]"],
  ],
  "int8-positive-matmul": [
    ["inner sizes", () => int8PositiveMatmul(float(2, 3), cut(2), centred(4, 5)), "f32 [2, 3]", "i8 [4, 5]"],
    ["the sizes' shape", () => int8PositiveMatmul(float(2, 4), { ...cut(2), sizes: float(2, 1) }, centred(4, 5)), "f32 [2, 1]"],
    ["the sums' shape", () => int8PositiveMatmul(float(2, 4), { ...cut(2), sums: float(3) }, centred(4, 5)), "f32 [3]"],
    ["the scales' size", () => int8PositiveMatmul(float(2, 4), cut(2), { ...centred(4, 5), scales: float(4) }), "f32 [4]"],
    ["the means' dtype", () => int8PositiveMatmul(float(2, 4), cut(2), { ...centred(4, 5), means: int32(5) }), "i32 [5]"],
  ],
  "nf4-matmul": [
    ["inner sizes", () => nf4Matmul(float(2, 30), four(5, 32)), "f32 [2, 30]", "u8 [80]"],
    ["the scales' size", () => nf4Matmul(float(2, 32), { ...four(5, 32), absmax: float(2) }), "f32 [2]"],
    ["the scales' dtype", () => nf4Matmul(float(2, 32), { ...four(5, 32), absmax: int32(3) }), "float32", "i32 [3]"],
    ["the weight's dtype", () => nf4Matmul(float(2, 32), { ...four(5, 32), packed: float(80) }), "f32 [80]"],
    ["a batch", () => nf4Matmul(float(1, 2, 32), four(5, 32)), "f32 [1, 2, 32]"],
  ],
  "int4-matmul": [
    ["inner sizes", () => int4Matmul(float(2, 65), blocked(4, 2)), "u8 [4, 2, 16]", "65 inputs"],
    ["the scales' shape", () => int4Matmul(float(2, 64), { ...blocked(4, 2), scales: float(8) }), "f32 [8]"],
    ["the weight's dtype", () => int4Matmul(float(2, 64), { ...blocked(4, 2), weights: float(4, 2, 16) }), "f32 [4, 2, 16]"],
    ["a batch", () => int4Matmul(float(1, 2, 64), blocked(4, 2)), "f32 [1, 2, 64]"],
  ],
  "int4-values": [
    ["the scales' shape", () => int4Values({ ...blocked(4, 2), scales: float(8) }, 64), "f32 [8]"],
    ["the scales' dtype", () => int4Values({ ...blocked(4, 2), scales: int32(4, 2) }, 64), "float32", "i32 [4, 2]"],
  ],
  softmax: [...notFloat(softmax), ["a scalar", () => softmax(float()), "[]"]],
  "rms-norm": [
    ["the gain's size", () => rmsNorm(float(2, 3), float(2), 1e-5), "[2]", "[2, 3]"],
    ["the gain's rank", () => rmsNorm(float(2, 3), float(1, 3), 1e-5), "[1, 3]", "[2, 3]"],
    ["the gain's dtype", () => rmsNorm(float(2, 3), int32(3), 1e-5), "i32 [3]", "f32 [2, 3]"],
  ],
  rotary: [
    ["the rank", () => rotary(float(2, 3, 4), int64(2, 3), float(5, 2), float(5, 2)), "[2, 3, 4]", "[2, 3]"],
    ["the positions' shape", () => rotary(float(2, 1, 3, 4), int64(2, 4), float(5, 2), float(5, 2)), "[2, 1, 3, 4]", "i64 [2, 4]"],
    ["the positions' dtype", () => rotary(float(2, 1, 3, 4), int32(2, 3), float(5, 2), float(5, 2)), "[2, 1, 3, 4]", "i32 [2, 3]"],
    ["the tables' width", () => rotary(float(2, 1, 3, 4), int64(2, 3), float(5, 4), float(5, 4)), "[2, 1, 3, 4]", "[5, 4]"],
    ["the tables' rank", () => rotary(float(2, 1, 3, 4), int64(2, 3), float(5, 2, 1), float(5, 2, 1)), "[5, 2, 1]"],
    ["unequal tables", () => rotary(float(2, 1, 3, 4), int64(2, 3), float(5, 2), float(4, 2)), "[5, 2]", "[4, 2]"],
  ],
  gather: [
    ["the indices' dtype", () => gather(float(2, 3), float(2)), "f32 [2]"],
    ["a scalar table", () => gather(float(), int32(2)), "[]", "[2]"],
  ],
  "scatter-add": [
    ["rows", () => scatterAdd(float(2, 3), int32(3), [4, 3]), "[2, 3]", "[3]", "[4, 3]"],
    ["the width", () => scatterAdd(float(2, 3), int32(2), [4, 2]), "[2, 3]", "[4, 2]"],
    ["into a scalar", () => scatterAdd(float(2), int32(2), []), "[2]", "[]"],
    ["the indices' dtype", () => scatterAdd(float(2), float(2), [3]), "f32 [2]"],
    ["the rows' dtype", () => scatterAdd(int32(2), int32(2), [3]), "i32 [2]"],
  ],
  pick: [
    ["one index per row", () => pick(float(2, 3), int32(3)), "[2, 3]", "[3]"],
    ["the rank", () => pick(float(2), int32(2)), "[2]"],
    ["the indices' dtype", () => pick(float(2, 3), float(2)), "f32 [2]"],
    ["the dtype", () => pick(int32(2, 3), int32(2)), "i32 [2, 3]"],
  ],
  place: [
    ["values", () => place(float(2, 3), int32(2), float(2), [2, 3]), "[2]", "[2, 3]"],
    ["one index per row", () => place(float(2, 3), int32(3), float(2, 1), [2, 3]), "[3]", "[2, 3]"],
    ["the base", () => place(float(3), int32(2), float(2, 1), [2, 3]), "[3]", "[2, 3]"],
    ["the base's rank", () => place(float(1, 1, 1), int32(2), float(2, 1), [2, 3]), "[1, 1, 1]", "[2, 3]"],
    ["the values' dtype", () => place(float(2, 3), int32(2), int32(2, 1), [2, 3]), "i32 [2, 1]"],
  ],
  "top-k": [
    ["int64", () => topK(int64(2, 3), 1), "i64 [2, 3]"],
    ["more than there are", () => topK(float(2, 3), 4), "[2, 3]", "4"],
    ["a scalar", () => topK(float(), 1), "[]"],
  ],
  "grouped-matmul": [
    ["int32 rows", () => groupedMatmul(int32(2, 3), int64(2), [float(3, 4)]), "float32", "i32 [2, 3]"],
    ["bounds that are too few", () => groupedMatmul(float(2, 3), int64(2), [float(3, 4), float(3, 4)]), "i64 [2]", "[3]"],
    ["int32 bounds", () => groupedMatmul(float(2, 3), int32(2), [float(3, 4)]), "i32 [2]"],
    ["a width", () => groupedMatmul(float(2, 3), int64(2), [float(4, 4)]), "[2, 3]", "[4, 4]"],
    ["a matrix unlike the first", () => groupedMatmul(float(2, 3), int64(3), [float(3, 4), float(3, 5)]), "[3, 5]", "[3, 4]"],
  ],
  "grouped-outer": [
    ["int32 rows", () => groupedOuter(float(2, 3), int32(2, 3), int64(2), one), "float32", "i32 [2, 3]"],
    ["bounds that are too many", () => groupedOuter(float(2, 3), float(2, 4), int64(3), one), "i64 [3]", "[2]"],
    ["numbers of rows", () => groupedOuter(float(2, 3), float(3, 4), int64(2), one), "[2, 3]", "[3, 4]"],
    ["a group that is not there", () => groupedOuter(float(2, 3), float(2, 4), int64(2), { ...one, group: 1 }), "group 1 of 1"],
  ],
  "with-gradient": [
    [
      "a gradient of another shape",
      () => {
        const source = float(3);
        return pullback(
          withGradient(float(2), [source], [], (dy) => [dy]),
          float(2),
          [source],
        )[0];
      },
      "with-gradient",
      "[2]",
      "[3]",
    ],
  ],
  checkpoint: [
    ["no sources", () => checkpoint(float(2), []), "f32 [2]", "no sources"],
    ["a source's dtype", () => checkpoint(float(2), [int32(3)]), "f32 [2]", "i32 [3]"],
  ],
  rematerialise: [["a source's dtype", () => rematerialise(float(2), int32(3)), "f32 [2]", "i32 [3]"]],
  retained: [["the dtype", () => retained(int32(2)), "i32 [2]"]],
  after: [
    ["the dtype", () => after(int32(2), float(3)), "i32 [2]", "f32 [3]"],
    ["the token's dtype", () => after(float(2), int32(3)), "f32 [2]", "i32 [3]"],
  ],
} satisfies Record<OpName, readonly Refusal[]>;

describe.each(Object.entries(refusals) as [OpName, readonly Refusal[]][])("%s refuses wrong", (op, list) => {
  it.each(list.map(([about, build, ...names]) => [about, build, names] as const))("%s", (_, build, names) => {
    let thrown: unknown;
    try {
      build();
    } catch (error) {
      thrown = error;
    }
    if (!LowrankError.is(thrown)) throw new Error(`${op} did not refuse it.`, { cause: thrown });
    for (const name of names) expect(thrown.message).toContain(name);
  });
});
