/** @file What losses on pairs have in common: their inputs, and figures on two answers. It knows no loss. */
import type { PairBatch } from "../../data/index.ts";
import { equal, input, multiply, relu, scalar, slice, subtract, total, where, type Tensor } from "../../graph/index.ts";
import { f32, type HostTensor } from "../../util/index.ts";
import { answerFeeds } from "../answers.ts";
import type { LabelledShape } from "../feeds.ts";
import type { MetricParts } from "./loss.ts";

/** Inputs of `answerFeeds`, and `present` (P, 1): 1 for a pair, 0 for empty rows. */
export const pairFeeds = (batch: PairBatch, shape: LabelledShape): Record<string, HostTensor> => ({
  ...answerFeeds(batch, shape),
  present: f32(batch.present, [shape.B / 2, 1]),
});

/** The input `present` of `pairFeeds`. */
export const presentPairs = ({ B }: LabelledShape): Tensor => input("present", [B / 2, 1]);

/** What belongs to chosen and to rejected answers: (B, 1) gives twice (P, 1). */
export const halves = (values: Tensor): readonly [chosen: Tensor, rejected: Tensor] => {
  const [B] = values.shape;
  return [slice(values, 0, 0, B / 2), slice(values, 0, B / 2, B)];
};

/** A mean over some of the rows, which weigh 1. */
export const meanOver = (rows: Tensor, values: Tensor): MetricParts => ({ sum: total(multiply(rows, values)), weight: total(rows) });

/** 1 where x > 0, elsewhere 0. */
export const isPositive = (x: Tensor): Tensor => where(equal(relu(x), scalar(0)), scalar(0), scalar(1));

/** Rewards of chosen and rejected answers, how far they lie apart, and how often the right way. */
export const rewardMetrics = (present: Tensor, chosen: Tensor, rejected: Tensor): Readonly<Record<string, MetricParts>> => {
  const margin = subtract(chosen, rejected);
  return {
    margin: meanOver(present, margin),
    accuracy: meanOver(present, isPositive(margin)),
    chosenReward: meanOver(present, chosen),
    rejectedReward: meanOver(present, rejected),
  };
};
