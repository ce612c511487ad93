/** @file Turns rows of tokens into what a program is fed; labelled positions become a list, padded to one of a few lengths. It knows nothing about data sets. */
import { f32, i32, type HostTensor } from "../util/index.ts";
import type { StepShape } from "./losses/loss.ts";

/** Rows of tokens as a model reads them; all (rows, length), row-major. */
export interface TokenRows {
  readonly rows: number;
  readonly length: number;
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  /** 0 is padding, 1 … numbers the documents of a row. */
  readonly segments: Int32Array;
}

/** Rows of which some positions predict a token. */
export interface LabelledRows extends TokenRows {
  /** The token that follows, −100 where it is not predicted. */
  readonly labels: Int32Array;
}

export interface LabelledShape extends StepShape {
  /** Labelled positions, padded. */
  readonly L: number;
}

const shares = [8, 4, 2, 1];

/** The smallest eighth, quarter, half or whole of all positions that holds the labelled ones. */
export const shapeOf = ({ rows: B, length: T, labels }: LabelledRows): LabelledShape => {
  const labelled = labels.reduce((count, label) => count + Number(label >= 0), 0);
  const L = shares.map((share) => Math.ceil((B * T) / share)).find((size) => size >= labelled)!;
  return { B, T, L };
};

/** The inputs `ids`, `positions` and `segments`, or others whose names begin with `prefix`. */
export const rowFeeds = ({ rows: B, length: T, ids, positions, segments }: TokenRows, prefix = ""): Record<string, HostTensor> => ({
  [`${prefix}ids`]: i32(ids, [B, T]),
  [`${prefix}positions`]: i32(positions, [B, T]),
  [`${prefix}segments`]: i32(segments, [B, T]),
});

/** Positions with a label, and their labels, in order; both padded with 0 to `L`. */
export const labelList = ({ labels }: LabelledRows, L: number): { rows: Int32Array; labels: Int32Array; count: number } => {
  const [rows, listed] = [new Int32Array(L), new Int32Array(L)];
  let count = 0;
  labels.forEach((label, position) => {
    if (label < 0) return;
    rows[count] = position;
    listed[count++] = label;
  });
  return { rows, labels: listed, count };
};

/** Inputs of rows with labels: those of `rowFeeds`, and the list `rows`, `labels` and `weights` (L), where padding weighs 0. */
export const stepFeeds = (batch: LabelledRows, { L }: Pick<LabelledShape, "L">): Record<string, HostTensor> => {
  const { rows, labels, count } = labelList(batch, L);
  return { ...rowFeeds(batch), rows: i32(rows), labels: i32(labels), weights: f32(new Float32Array(L).fill(1, 0, count)) };
};
