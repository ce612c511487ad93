/** @file Classification: the cross-entropy of each document's class, summed; a mean over documents. It knows nothing about batches' origin. */
import { cast, divide, equal, integers, matmul, max, multiply, reshape, sum, total, type Tensor } from "../../graph/index.ts";
import type { Model } from "../../models/index.ts";
import { crossEntropy } from "../../nn/index.ts";
import { labelledLoss, type LabelledLoss } from "./labelled.ts";

// Rows of zeros with a one at the label: (L, C).
const oneHot = (labels: Tensor, C: number): Tensor =>
  cast(
    equal(
      reshape(labels, [-1, 1]),
      integers(
        Array.from({ length: C }, (_, index) => index),
        [1, C],
      ),
    ),
    "f32",
  );

// The same at the greatest logit; several greatest ones share.
const predicted = (logits: Tensor): Tensor => {
  const greatest = cast(equal(logits, max(logits, [1])), "f32"); // (L, C)
  return divide(greatest, sum(greatest, [1]));
};

/** Σ −log p(class) over documents. Counts the documents of class i that were taken for class j as `confusion` (C, C). */
export const classification = (model: Pick<Model, "type" | "head" | "tokenTypes">): LabelledLoss =>
  labelledLoss(model, "classification", ({ logits, labels, weights }, { differentiable }) => {
    const C = model.head.outputs;
    const classes = cast(labels, "i32"); // (L)
    const weight = total(weights);
    const column = reshape(weights, [-1, 1]); // (L, 1)
    const loss = total(multiply(crossEntropy(logits, classes), column));
    const actual = multiply(oneHot(classes, C), column); // (L, C)
    const taken = predicted(logits);
    return {
      loss,
      weight,
      metrics: { accuracy: { sum: total(multiply(actual, taken)), weight } },
      ...(!differentiable && { counts: { confusion: matmul(actual, taken, { transposeA: true }) } }),
    };
  });
