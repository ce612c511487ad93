import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { input, type Tensor } from "../graph/index.ts";
import { i32 } from "../util/index.ts";
import { causalMask, fullMask, type Mask } from "./mask.ts";

/** One row of the mask per query: `.` for what it sees, `#` for what is masked. */
const pictured = async (
  segments: readonly number[],
  [start, end]: readonly [number, number],
  maskOf: (segments: Tensor) => Mask = causalMask,
  window = Infinity,
): Promise<string[]> => {
  const { mask } = await evaluate(
    { mask: maskOf(input("segments", [1, segments.length], "i32")).bias(start, end, window) },
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
    expect(await pictured(segments, [start, end], causalMask, window)).toEqual(rows);
  });

  it.each([
    { about: "one document", segments: [1, 1, 1], start: 0, end: 3, rows: ["...", "...", "..."] },
    { about: "two documents and padding", segments: [1, 1, 2, 0], start: 0, end: 4, rows: ["..##", "..##", "##.#", "###."] },
    { about: "a block of queries", segments: [1, 1, 1, 2], start: 2, end: 4, rows: ["...#", "###."] },
  ])("that looks both ways shows $about whole: $rows", async ({ segments, start, end, rows }) => {
    expect(await pictured(segments, [start, end], fullMask)).toEqual(rows);
  });

  it("has rows of its own for each row of a batch", async () => {
    const { mask } = await evaluate(
      { mask: causalMask(input("segments", [2, 2], "i32")).bias(0, 2, Infinity) },
      { segments: i32([1, 1, 1, 2], [2, 2]) },
    );
    expect(mask.shape).toEqual([2, 1, 2, 2]);
    expect(numbersOf(mask).map((value) => value === 0)).toEqual([true, false, true, true, true, false, false, true]);
  });

  it.each([
    [0, 3, 0, 4],
    [2, 3, 0, 4],
    [3, 3, 1, 4],
    [4, 3, 2, 8],
    [9, 1, 9, 12],
    [9, Infinity, 0, 12],
    [15, Infinity, 0, 16],
  ])("for query %i and a window of %i goes from key %i to before key %i, a quarter of the row", (query, window, first, end) => {
    expect(causalMask(input("segments", [1, 16], "i32")).keys(query, query + 1, window)).toEqual([first, end]);
  });

  it("hides what a quarter has behind the last query", async () => {
    const { mask } = await evaluate(
      { mask: causalMask(input("segments", [1, 8], "i32")).bias(2, 3, Infinity) },
      { segments: i32(new Int32Array(8).fill(1), [1, 8]) },
    );
    expect(numbersOf(mask).map((value) => value === 0)).toEqual([true, true, true, false]);
  });
});
