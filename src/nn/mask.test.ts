import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { input } from "../graph/index.ts";
import { i32 } from "../util/index.ts";
import { documentMask, firstKey } from "./mask.ts";

/** One row of the mask per query: `.` for what it sees, `#` for what is masked. */
const pictured = async (segments: readonly number[], start: number, end: number, window?: number): Promise<string[]> => {
  const { mask } = await evaluate(
    { mask: documentMask(input("segments", [1, segments.length], "i32"), start, end, window) },
    { segments: i32(segments, [1, segments.length]) },
  );
  const [, , rows, columns] = mask.shape;
  expect(mask.shape).toEqual([1, 1, end - start, columns]);
  const values = numbersOf(mask);
  expect(values.every((value) => value === 0 || value === Math.fround(-1e30))).toBe(true);
  const marks = values.map((value) => (value === 0 ? "." : "#")).join("");
  return Array.from({ length: rows }, (_, row) => marks.slice(row * columns, (row + 1) * columns));
};

describe("a mask", () => {
  it.each([
    { about: "of one document", segments: [1, 1, 1, 1], start: 0, end: 4, rows: [".###", "..##", "...#", "...."] },
    { about: "of two documents", segments: [1, 1, 2, 2], start: 0, end: 4, rows: [".###", "..##", "##.#", "##.."] },
    {
      about: "of a document with padding, which sees itself",
      segments: [1, 1, 0, 0],
      start: 0,
      end: 4,
      rows: [".###", "..##", "##.#", "##.."],
    },
    { about: "of the second block", segments: [1, 1, 1, 1, 1], start: 2, end: 4, rows: ["...#", "...."] },
    { about: "of one query", segments: [1, 1, 2], start: 2, end: 3, rows: ["##."] },
    { about: "through a window", segments: [1, 1, 1, 1], start: 0, end: 4, window: 2, rows: [".###", "..##", "#..#", "##.."] },
    { about: "through a window, keys before it left out", segments: [1, 1, 1, 1, 1], start: 3, end: 5, window: 2, rows: ["..#", "#.."] },
    { about: "through a window and documents", segments: [1, 1, 1, 2, 2], start: 2, end: 5, window: 3, rows: ["...##", "###.#", "###.."] },
    { about: "of a window of one", segments: [1, 1, 1], start: 0, end: 3, window: 1, rows: [".##", "#.#", "##."] },
  ])("$about: $rows", async ({ segments, start, end, window, rows }) => {
    expect(await pictured(segments, start, end, window)).toEqual(rows);
  });

  it("has rows of its own for each row of a batch", async () => {
    const { mask } = await evaluate(
      { mask: documentMask(input("segments", [2, 2], "i32"), 0, 2) },
      { segments: i32([1, 1, 1, 2], [2, 2]) },
    );
    expect(mask.shape).toEqual([2, 1, 2, 2]);
    expect(numbersOf(mask).map((value) => value === 0)).toEqual([true, false, true, true, true, false, false, true]);
  });

  it.each([
    [0, 3, 0],
    [2, 3, 0],
    [3, 3, 1],
    [9, 1, 9],
    [9, Infinity, 0],
  ])("begins for query %i and a window of %i at key %i", (query, window, key) => {
    expect(firstKey(query, window)).toBe(key);
  });
});
