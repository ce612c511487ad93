import { expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { input } from "../graph/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { bucketedBias, bucketOf } from "./position-bias.ts";

const offsets = [-3000, -128, -127, -64, -40, -24, -16, -12, -9, -8, -7, -1, 0, 1, 7, 8, 9, 15, 16, 32, 91, 113, 114, 128, 500];

// Figures of transformers 5.18.
it.each([
  { count: 32, maxDistance: 128, bothWays: true, of: "15 15 15 14 12 11 10 9 8 8 7 1 0 17 23 24 24 25 26 28 31 31 31 31 31" },
  { count: 32, maxDistance: 128, bothWays: false, of: "31 31 31 26 23 19 16 12 9 8 7 1 0 0 0 0 0 0 0 0 0 0 0 0 0" },
  { count: 10, maxDistance: 50, bothWays: true, of: "4 4 4 4 4 4 3 3 3 3 3 1 0 6 8 8 8 8 8 9 9 9 9 9 9" },
  { count: 12, maxDistance: 33, bothWays: false, of: "11 11 11 11 11 10 9 8 7 7 6 1 0 0 0 0 0 0 0 0 0 0 0 0 0" },
])("$count buckets up to $maxDistance, both ways: $bothWays", ({ of, ...buckets }) => {
  expect(offsets.map((offset) => bucketOf(offset, buckets)).join(" ")).toBe(of);
});

it("each row of a batch has the biases of its own positions", async () => {
  const i64 = (values: readonly number[], shape: readonly number[]): HostTensor => ({
    dtype: "i64",
    shape,
    data: BigInt64Array.from(values, BigInt),
  });
  const bias = bucketedBias(input("table", [4, 2]), { count: 4, maxDistance: 8, bothWays: false });
  const { y } = await evaluate(
    { y: bias(input("queries", [2, 1], "i64"), input("keys", [2, 3], "i64"), 10) },
    { table: f32([0, 1, 2, 3, 4, 5, 6, 7], [4, 2]), queries: i64([9, 2], [2, 1]), keys: i64([0, 8, 9, 2, 1, 3], [2, 3]) },
  );
  expect(y.shape).toEqual([2, 2, 1, 3]);
  // Distances 9, 1, 0 and 0, 1, −1 have the buckets 3, 1, 0 and 0, 1, 0; each head has its own column.
  expect(numbersOf(y)).toEqual([6, 2, 0, 7, 3, 1, 0, 2, 0, 1, 3, 1]);
});
