/** @file Accuracy: the share of documents that were taken for what they are. It knows nothing about models. */
import { classCounts, type Confusion } from "./confusion.ts";

/** Σ correct / Σ all, from 0 to 1. */
export const accuracy = (confusion: Confusion): number => {
  const counts = classCounts(confusion);
  const sum = (of: "actual" | "correct"): number => counts.reduce((total, count) => total + count[of], 0);
  return sum("correct") / sum("actual");
};
