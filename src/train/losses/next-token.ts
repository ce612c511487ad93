/** @file Next-token prediction: the cross-entropy of each label under the model, summed; a mean over labels. It knows nothing about batches' origin. */
import { rowKind, type Example } from "../../data/index.ts";
import { input, total } from "../../graph/index.ts";
import { chunkedLoss } from "../../nn/index.ts";
import { shapeOf, stepFeeds, type LabelledRows, type LabelledShape } from "../feeds.ts";
import { chunkOf, headLoss, hiddenStates, tokenInputs } from "../forward.ts";
import type { Loss, TrainingBatch } from "./loss.ts";

/** Σ −log p(label) over labels. Inputs `ids`, `positions`, `segments` (B, T), `rows`, `labels`, `weights` (L). */
export const nextToken: Loss<Example, LabelledRows & TrainingBatch, LabelledShape> = {
  name: "next-token",
  settings: {},
  kind: rowKind,
  keepsRows: true,
  shapeOf,
  feeds: stepFeeds,
  build: (context, shape) => {
    const { model, modules, differentiable } = context;
    const weights = input("weights", [shape.L]);
    const loss = chunkedLoss({
      hidden: hiddenStates(context, modules, tokenInputs(shape)),
      rows: input("rows", [shape.L], "i32"),
      labels: input("labels", [shape.L], "i32"),
      weights,
      crossEntropy: headLoss(model, modules),
      trainable: modules.trainable,
      chunk: chunkOf(context),
      differentiable,
    });
    return { loss, weight: total(weights) };
  },
  evaluationMetrics: (loss) => ({ perplexity: Math.exp(loss) }),
};
