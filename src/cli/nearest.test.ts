import { describe, expect, it } from "vitest";
import { editDistance, nearest } from "./nearest.ts";

describe("editDistance", () => {
  it.each([
    ["kitten", "sitting", 3],
    ["", "rank", 4],
    ["rank", "rank", 0],
    ["lerning-rate", "learning-rate", 1],
  ])("from %j to %j is %i", (from, to, distance) => {
    expect(editDistance(from, to)).toBe(distance);
    expect(editDistance(to, from)).toBe(distance);
  });
});

describe("nearest", () => {
  it.each([
    ["lerning-rate", "learning-rate"],
    ["Rank", "rank"],
    ["alfa", "alpha"],
    ["model-name", undefined],
    ["xyz", undefined],
  ])("to %j is %j", (word, expected) => {
    expect(nearest(word, ["rank", "alpha", "learning-rate", "schedule"])).toBe(expected);
  });
});
