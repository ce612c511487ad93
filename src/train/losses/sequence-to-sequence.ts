/** @file Prediction of a target from its source: the cross-entropy of each of its tokens under an encoder–decoder, summed; a mean over tokens. */
import { sourceTargetKind, type SourceTarget } from "../../data/index.ts";
import { concat, input, integers, slice, total, type Tensor } from "../../graph/index.ts";
import { chunkedLoss } from "../../nn/index.ts";
import { i32 } from "../../util/index.ts";
import { shapeOf, stepFeeds, type LabelledRows, type LabelledShape, type TokenRows } from "../feeds.ts";
import { chunkOf, headLoss, hiddenStates, type TokenInputs } from "../forward.ts";
import type { Loss, LossContext, TrainingBatch } from "./loss.ts";

/** Targets, one a row, with their own tokens as labels, and the sources of the same rows. */
export interface SourcedRows extends LabelledRows {
  readonly source: TokenRows;
}

export interface SourcedShape extends LabelledShape {
  /** Tokens of a source, and of a target. */
  readonly S: number;
  readonly U: number;
}

// One document a row, so positions need not be fed.
const rowInputs = (B: number, T: number, prefix = ""): TokenInputs => ({
  ids: input(`${prefix}ids`, [B, T], "i32"),
  segments: input(`${prefix}segments`, [B, T], "i32"),
  positions: integers(
    Array.from({ length: B * T }, (_, index) => index % T),
    [B, T],
  ),
});

/** Hidden states that predict the tokens of each target, (B·U, D), from `ids`, `segments` (B, U), `source.ids` and `source.segments` (B, S). */
export const targetStates = (context: Omit<LossContext, "reference">, { B, S, U }: Pick<SourcedShape, "B" | "S" | "U">): Tensor => {
  const target = rowInputs(B, U);
  const start = integers(
    Array.from({ length: B }, () => context.model.decoderStart!),
    [B, 1],
  );
  const shifted = concat([start, slice(target.ids, 1, 0, U - 1)], 1); // (B, U)
  return hiddenStates(context, context.modules, { ...target, ids: shifted }, rowInputs(B, S, "source."));
};

/** Σ −log p(token of the target). Inputs as in `targetStates`, and `rows`, `labels`, `weights` (L). */
export const sequenceToSequence: Loss<SourceTarget, SourcedRows & TrainingBatch, SourcedShape> = {
  name: "sequence-to-sequence",
  settings: {},
  kind: sourceTargetKind,
  keepsRows: true,
  shapeOf: (batch) => {
    const [S, U] = [batch.source.length, batch.length];
    return { ...shapeOf(batch), T: Math.max(S, U), S, U };
  },
  feeds: (batch, shape) => {
    const { positions: _positions, ...target } = stepFeeds(batch, shape);
    const { ids, segments, rows, length } = batch.source;
    return { ...target, "source.ids": i32(ids, [rows, length]), "source.segments": i32(segments, [rows, length]) };
  },
  build: (context, shape) => {
    const { model, modules, differentiable } = context;
    const weights = input("weights", [shape.L]);
    const loss = chunkedLoss({
      hidden: targetStates(context, shape),
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
