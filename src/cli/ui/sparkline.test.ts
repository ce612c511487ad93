import { describe, expect, it } from "vitest";
import { resample, sparkline } from "./sparkline.ts";

describe("sparkline", () => {
  it.each<[readonly number[], number, string]>([
    [[8, 7, 6, 5, 4, 3, 2, 1], 8, "█▇▆▅▄▃▂▁"],
    [[8, 8, 6, 6, 4, 4, 1, 1], 4, "█▆▄▁"],
    [[2, 2 + 1e-12, 2], 8, "▁▁▁"],
    [[0, 0], 8, "▁▁"],
    [[1, NaN, 2], 8, "▁ █"],
    [[3], 8, "▁"],
    [[], 8, ""],
  ])("of %j in %i columns is %j", (values, width, line) => {
    expect(sparkline(values, width)).toBe(line);
  });
});

describe("resample", () => {
  it("uses every value once", () => {
    expect(resample([1, 2, 3, 4, 5], 2)).toEqual([1.5, 4]);
    expect(resample([1, 2], 5)).toEqual([1, 2]);
  });
});
