/** @file log p of the answer in each row under some modules, as losses on preferences need it. It knows nothing about what makes an answer good. */
import { input, matmul, relu, add, scalar, subtract, sum, type Tensor } from "../graph/index.ts";
import { logProbs, type Modules } from "../nn/index.ts";
import { f32, i32, type HostTensor } from "../util/index.ts";
import { labelList, rowFeeds, type LabelledRows, type LabelledShape } from "./feeds.ts";
import { chunkOf, headLoss, hiddenStates, tokenInputs, type TokenInputs } from "./forward.ts";
import type { LossContext } from "./losses/loss.ts";

/** Rows of tokens, and which labels are the answer of which row. */
export interface AnswerInputs {
  readonly tokens: TokenInputs;
  /** Positions that predict a label, and the labels: (L) int32. */
  readonly rows: Tensor;
  readonly labels: Tensor;
  /** 1 where a label belongs to a row: (B, L). */
  readonly members: Tensor;
}

/** The inputs of `answerFeeds` in a program. */
export const answerInputs = (shape: LabelledShape, prefix = ""): AnswerInputs => ({
  tokens: tokenInputs(shape, prefix),
  rows: input(`${prefix}rows`, [shape.L], "i32"),
  labels: input(`${prefix}labels`, [shape.L], "i32"),
  members: input(`${prefix}members`, [shape.B, shape.L]),
});

/** Inputs `ids`, `positions`, `segments` (B, T), `rows`, `labels` (L) and `members` (B, L), all with the prefix. */
export const answerFeeds = (batch: LabelledRows, { B, T, L }: LabelledShape, prefix = ""): Record<string, HostTensor> => {
  const { rows, labels, count } = labelList(batch, L);
  const members = new Float32Array(B * L);
  for (let index = 0; index < count; index++) members[Math.floor(rows[index] / T) * L + index] = 1;
  return {
    ...rowFeeds(batch, prefix),
    [`${prefix}rows`]: i32(rows),
    [`${prefix}labels`]: i32(labels),
    [`${prefix}members`]: f32(members, [B, L]),
  };
};

/** Σ log p(label) over the answer of each row, 0 for a row without one: (B, 1). */
export const answerLogProbs = (
  context: Pick<LossContext, "model" | "differentiable" | "recompute" | "chunk">,
  modules: Modules,
  { tokens, rows, labels, members }: AnswerInputs,
): Tensor => {
  const { model, differentiable } = context;
  const each = logProbs({
    hidden: hiddenStates(context, modules, tokens),
    rows,
    labels,
    crossEntropy: headLoss(model, modules),
    trainable: modules.trainable,
    chunk: chunkOf(context),
    differentiable,
  }); // (L, 1)
  return matmul(members, each);
};

/** Labels of each row's answer, but at least 1: (B, 1). */
export const answerLengths = ({ members }: Pick<AnswerInputs, "members">): Tensor =>
  add(relu(subtract(sum(members, [1]), scalar(1))), scalar(1));
