/** @file Figures from what an evaluation counts, by the name of the count. A loss that counts something new adds a line here. */
import { accuracy } from "./accuracy.ts";
import { confusionOf } from "./confusion.ts";
import { pearson, rootMeanSquareError } from "./correlation.ts";
import { macroF1 } from "./f1.ts";

const figures: Readonly<Record<string, (counts: readonly number[]) => Readonly<Record<string, number>>>> = {
  confusion: (cells) => ({ accuracy: accuracy(confusionOf(cells)), macroF1: macroF1(confusionOf(cells)) }),
  moments: (moments) => ({ rootMeanSquareError: rootMeanSquareError(moments), pearson: pearson(moments) }),
};

/** The figures of all counts, each by its name. */
export const figuresOfCounts = (counts: Readonly<Record<string, readonly number[]>>): Readonly<Record<string, number>> =>
  Object.assign({}, ...Object.entries(counts).map(([name, vector]) => figures[name]?.(vector)));
