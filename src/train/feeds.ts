/** @file Turns a batch into what the step's program is fed; labelled positions become a list, padded to one of a few lengths. It knows nothing about data sets. */
import { f32, i32, type HostTensor } from "../util/index.ts";
import type { StepShape } from "./step.ts";

/** The part of a batch that a step reads; all (rows, length), row-major. */
export interface StepBatch {
  readonly rows: number;
  readonly length: number;
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  /** 0 is padding, 1 … numbers the documents of a row. */
  readonly segments: Int32Array;
  /** The token that follows, −100 where it is not predicted. */
  readonly labels: Int32Array;
  /** Where its examples come from, for people. */
  readonly sources?: readonly string[];
}

const shares = [8, 4, 2, 1];

/** The smallest eighth, quarter, half or whole of all positions that holds the labelled ones. */
export const shapeOf = ({ rows: B, length: T, labels }: StepBatch): StepShape => {
  const labelled = labels.reduce((count, label) => count + Number(label >= 0), 0);
  const L = shares.map((share) => Math.ceil((B * T) / share)).find((size) => size >= labelled)!;
  return { B, T, L };
};

/** Inputs of the step's program, without the parameters. */
export const stepFeeds = (batch: StepBatch, { B, T, L }: StepShape): Record<string, HostTensor> => {
  const rows = new Int32Array(L);
  const labels = new Int32Array(L);
  const weights = new Float32Array(L);
  let count = 0;
  batch.labels.forEach((label, position) => {
    if (label < 0) return;
    rows[count] = position;
    labels[count] = label;
    weights[count++] = 1;
  });
  return {
    ids: i32(batch.ids, [B, T]),
    positions: i32(batch.positions, [B, T]),
    segments: i32(batch.segments, [B, T]),
    rows: i32(rows),
    labels: i32(labels),
    weights: f32(weights),
  };
};
