import { describe, expect, it } from "vitest";
import { f32, i32 } from "../util/index.ts";
import { shapeOf, stepFeeds, type LabelledRows } from "./feeds.ts";

const batch = (rows: number, length: number, labelled: number): LabelledRows => ({
  rows,
  length,
  ids: new Int32Array(rows * length),
  positions: new Int32Array(rows * length),
  segments: new Int32Array(rows * length),
  labels: Int32Array.from({ length: rows * length }, (_, index) => (index < labelled ? 7 : -100)),
});

describe("shapeOf", () => {
  it.each([
    [4, 16, 0, 8],
    [4, 16, 8, 8],
    [4, 16, 9, 16],
    [4, 16, 16, 16],
    [4, 16, 17, 32],
    [4, 16, 33, 64],
    [4, 16, 60, 64],
    [3, 5, 2, 2],
    [3, 5, 3, 4],
    [3, 5, 5, 8],
    [3, 5, 9, 15],
    [1, 2, 1, 1],
  ])("%i × %i positions with %i labels take a list of %i", (B, T, labelled, L) => {
    expect(shapeOf(batch(B, T, labelled))).toEqual({ B, T, L });
  });
});

describe("stepFeeds", () => {
  it("lists the labelled positions, and pads the list with weight 0", () => {
    const given: LabelledRows = {
      rows: 2,
      length: 4,
      ids: Int32Array.of(5, 6, 7, 0, 8, 9, 3, 4),
      positions: Int32Array.of(0, 1, 2, 0, 0, 1, 0, 1),
      segments: Int32Array.of(1, 1, 1, 0, 1, 1, 2, 2),
      labels: Int32Array.of(-100, 7, -100, -100, 9, -100, 0, -100),
    };
    expect(stepFeeds(given, shapeOf(given))).toEqual({
      ids: i32(given.ids, [2, 4]),
      positions: i32(given.positions, [2, 4]),
      segments: i32(given.segments, [2, 4]),
      rows: i32([1, 4, 6, 0]),
      labels: i32([7, 9, 0, 0]),
      weights: f32([1, 1, 1, 0]),
    });
  });
});
