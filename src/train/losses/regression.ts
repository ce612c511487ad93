/** @file Regression: the squared error of each document's value, summed; a mean over documents. It knows nothing about batches' origin. */
import { concat, multiply, reshape, subtract, total } from "../../graph/index.ts";
import type { Model } from "../../models/index.ts";
import { LowrankError } from "../../util/index.ts";
import { labelledLoss, type LabelledLoss } from "./labelled.ts";

/** Σ (ŷ − y)² over documents. Counts Σ1, Σy, Σŷ, Σy², Σŷ² and Σy·ŷ as `moments` (6). */
export const regression = (model: Pick<Model, "type" | "head" | "tokenTypes">): LabelledLoss => {
  const { outputs } = model.head;
  if (outputs !== 1)
    throw new LowrankError("unsupported", `The head predicts ${outputs} values of a document at once; one is offered.`, {
      fix: 'Use a head of one label ("num_labels": 1).',
    });
  return labelledLoss(model, "regression", ({ logits, labels: y, weights }, { differentiable }) => {
    const guess = reshape(logits, [-1]); // (L)
    const error = subtract(guess, y);
    const weight = total(weights);
    const of = (a = weights, b = weights) => reshape(total(multiply(weights, multiply(a, b))), [1]);
    return {
      loss: total(multiply(weights, multiply(error, error))),
      weight,
      ...(!differentiable && { counts: { moments: concat([of(), of(y), of(guess), of(y, y), of(guess, guess), of(y, guess)], 0) } }),
    };
  });
};
