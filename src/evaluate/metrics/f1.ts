/** @file Precision, recall and F1 of each class, and F1 over all of them. It knows nothing about models. */
import { classCounts, type Confusion } from "./confusion.ts";

/** All from 0 to 1. */
export interface ClassScores {
  /** Share of the documents taken for the class that are of it. */
  readonly precision: number;
  /** Share of the documents of the class that were taken for it. */
  readonly recall: number;
  readonly f1: number;
  /** Documents of the class. */
  readonly support: number;
}

// Where nothing was asked for or found, nothing was right.
const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

/** F₁ = 2·correct / (actual + predicted), the harmonic mean of precision and recall [van Rijsbergen 1979], for each class. */
export const f1 = (confusion: Confusion): ClassScores[] =>
  classCounts(confusion).map(({ actual, predicted, correct }) => ({
    precision: share(correct, predicted),
    recall: share(correct, actual),
    f1: share(2 * correct, actual + predicted),
    support: actual,
  }));

/** The mean of F₁ over the classes, which all weigh the same however many documents they have. */
export const macroF1 = (confusion: Confusion): number => f1(confusion).reduce((sum, scores) => sum + scores.f1, 0) / confusion.length;
