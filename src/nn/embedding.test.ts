import { expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { input, pullback } from "../graph/index.ts";
import { f32, i32 } from "../util/index.ts";
import { rowsOf } from "./embedding.ts";

it.each([
  { padding: undefined, dtype: "i32", gradient: [0, 0, 5, 6, 1 + 7, 2 + 8, 3, 4] },
  { padding: 2, dtype: "i32", gradient: [0, 0, 5, 6, 0, 0, 3, 4] },
  { padding: 2, dtype: "i64", gradient: [0, 0, 5, 6, 0, 0, 3, 4] },
] as const)("gives rows, and gradients to all but the padding $padding by $dtype", async ({ padding, dtype, gradient }) => {
  const table = input("table", [4, 2]);
  const ids = input("ids", [2, 2], dtype);
  const rows = rowsOf(table, ids, padding);
  const [d] = pullback(rows, input("dy", [2, 2, 2]), [table]);
  const places = [2, 3, 1, 2];
  const fed = dtype === "i32" ? i32(places, [2, 2]) : { dtype, shape: [2, 2], data: BigInt64Array.from(places, BigInt) };
  const result = await evaluate(
    { rows, d },
    { table: f32([1, 2, 3, 4, 5, 6, 7, 8], [4, 2]), ids: fed, dy: f32([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2]) },
  );
  expect(numbersOf(result["rows"])).toEqual([5, 6, 7, 8, 3, 4, 5, 6]);
  expect(numbersOf(result["d"])).toEqual(gradient);
});
