import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accuracy } from "./accuracy.ts";
import { classCounts, confusionOf } from "./confusion.ts";
import { pearson, rootMeanSquareError } from "./correlation.ts";
import { figuresOfCounts } from "./counts.ts";
import { f1, macroF1 } from "./f1.ts";

// Worked out by hand from the definitions, the values by NumPy.
const three = confusionOf([5, 1, 0, 2, 3, 1, 0, 0, 4]);

describe("a confusion matrix", () => {
  it("tells actual, predicted and correct documents of each class", () => {
    expect(three).toEqual([
      [5, 1, 0],
      [2, 3, 1],
      [0, 0, 4],
    ]);
    expect(classCounts(three)).toEqual([
      { actual: 6, predicted: 7, correct: 5 },
      { actual: 6, predicted: 4, correct: 3 },
      { actual: 4, predicted: 5, correct: 4 },
    ]);
  });

  it("has the accuracy, precision, recall and F1 of the definitions", () => {
    expect(accuracy(three)).toBe(0.75);
    const rounded = f1(three).map(({ precision, recall, f1: score, support }) =>
      [precision, recall, score, support].map((x) => x.toFixed(4)),
    );
    expect(rounded).toEqual([
      ["0.7143", "0.8333", "0.7692", "6.0000"],
      ["0.7500", "0.5000", "0.6000", "6.0000"],
      ["0.8000", "1.0000", "0.8889", "4.0000"],
    ]);
    expect(macroF1(three)).toBeCloseTo(0.75271, 5);
  });

  it("counts a class that neither is there nor was predicted as 0", () => {
    const absent = confusionOf([3, 0, 1, 0]);
    expect(f1(absent)).toEqual([
      { precision: 0.75, recall: 1, f1: 6 / 7, support: 3 },
      { precision: 0, recall: 0, f1: 0, support: 1 },
    ]);
    expect(macroF1(confusionOf([2, 0, 0, 0]))).toBe(0.5);
  });

  it("has an F1 that does not depend on how often everything was counted", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 9, maxLength: 9 }), fc.integer({ min: 2, max: 7 }), (cells, times) => {
        const often = confusionOf(cells.map((count) => count * times));
        expect(macroF1(often)).toBeCloseTo(macroF1(confusionOf(cells)), 12);
      }),
    );
  });
});

const momentsOf = (y: readonly number[], guess: readonly number[]): number[] => {
  const sum = (of: (index: number) => number): number => y.reduce((total, _, index) => total + of(index), 0);
  return [y.length, sum((i) => y[i]), sum((i) => guess[i]), sum((i) => y[i] ** 2), sum((i) => guess[i] ** 2), sum((i) => y[i] * guess[i])];
};

describe("values", () => {
  it.each([
    { y: [1, 2, 3, 4], guess: [1.1, 1.9, 3.4, 3.6], r: 0.966012, error: 0.29155 },
    { y: [1, 2, 3], guess: [3, 2, 1], r: -1, error: 1.63299 },
    { y: [1, 2, 3], guess: [2, 2, 2], r: 0, error: 0.8165 },
  ])("$y and $guess correlate by $r", ({ y, guess, r, error }) => {
    expect(pearson(momentsOf(y, guess))).toBeCloseTo(r, 5);
    expect(rootMeanSquareError(momentsOf(y, guess))).toBeCloseTo(error, 4);
  });
});

it("figures come from counts by their name", () => {
  expect(figuresOfCounts({ confusion: [1, 0, 0, 1], other: [1] })).toEqual({ accuracy: 1, macroF1: 1 });
  expect(figuresOfCounts({ moments: momentsOf([1, 2], [1, 2]) })).toEqual({
    rootMeanSquareError: 0,
    pearson: expect.closeTo(1, 6) as number,
  });
  expect(figuresOfCounts({})).toEqual({});
});
