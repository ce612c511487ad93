/** @file What a reference's tensors are to a model: the batch of its loss, and the hidden states whose logits were recorded. It compares nothing. */
import type { LabelledBatch } from "../data/index.ts";
import { constant, equal, integers, reshape, scalar, slice, where, type Tensor } from "../graph/index.ts";
import type { Head, Model } from "../models/index.ts";
import { hiddenScore, type Modules } from "../nn/index.ts";
import { rowFeeds, type LabelledRows, type TokenRows } from "../train/feeds.ts";
import { hiddenStates, tokenInputs } from "../train/forward.ts";
import type { TrainingBatch } from "../train/losses/loss.ts";
import { sequenceToSequence, targetStates, type SourcedRows } from "../train/losses/sequence-to-sequence.ts";
import { i32, type HostTensor } from "../util/index.ts";

export interface Recorded {
  readonly batch: TrainingBatch;
  /** The hidden states of all the batch's tokens, (N, D), and the inputs that they are computed from. */
  states(model: Model, modules: Modules): Tensor;
  readonly feeds: Readonly<Record<string, HostTensor>>;
  /** Which of them were recorded the logits of, and for each the row of those logits. */
  readonly places: Int32Array;
  readonly recorded: Int32Array;
  /** Whether differences of logits and losses count as shares where these are above 1: attention that is not scaled makes both large, and their rounding. */
  readonly isRelative: boolean;
}

/**
 * The model as its reference treats padding before a text: nobody sees it, and it sees what others see in its place, in equal shares where
 * that is nothing. What comes of it counts where it precedes a label, or where a head reads the first token.
 */
export const withRecordedPadding = (model: Model): Model => ({
  ...model,
  mask: (segments) => {
    const [B, T] = segments.shape;
    const all = model.mask(constant(i32(new Int32Array(B * T).fill(1), [B, T])));
    return {
      keys: all.keys,
      bias: (start, end, window) => {
        const [first, last] = all.keys(start, end, window);
        const isToken = equal(reshape(slice(segments, 1, first, last), [B, 1, 1, last - first]), integers([1]));
        return where(isToken, all.bias(start, end, window), scalar(hiddenScore));
      },
    };
  },
});

const tokensOf = ({ segments }: TokenRows): number => segments.reduce((sum, flag) => sum + flag, 0);

const rowsOf = (ids: Int32Array, segments: Int32Array, [rows, length]: readonly number[]): TokenRows => ({
  rows,
  length,
  ids,
  segments,
  positions: Int32Array.from(ids, (_, place) => place % length),
});

const seenPlaces = ({ segments }: TokenRows): Int32Array => Int32Array.from(segments.keys()).filter((place) => segments[place] === 1);

const statesOf = (rows: TokenRows): Pick<Recorded, "states" | "feeds"> => ({
  states: (model, modules) => hiddenStates({ model, differentiable: false }, modules, tokenInputs({ B: rows.rows, T: rows.length })),
  feeds: rowFeeds(rows),
});

/** Rows with a label for each token; the reference shifts inside its loss: what follows a position is its label. */
const tokens = (rows: TokenRows, labels: Int32Array): Recorded => {
  const batch: LabelledRows & TrainingBatch = {
    ...rows,
    tokens: tokensOf(rows),
    labels: Int32Array.from(labels, (_, place) => (place % rows.length === rows.length - 1 ? -100 : labels[place + 1])),
  };
  return { batch, ...statesOf(rows), places: seenPlaces(rows), recorded: seenPlaces(rows), isRelative: false };
};

/** Rows with a label each; the reference's heads read padding as well, if it comes first. */
const documents = (rows: TokenRows, labels: Int32Array | Float32Array, pool: NonNullable<Head["pool"]>): Recorded => {
  const places = Int32Array.from({ length: rows.rows }, (_, row) => {
    const start = row * rows.length;
    return start + pool(rows.ids.subarray(start, start + rows.length));
  });
  const types = new Int32Array(rows.ids.length);
  const batch: LabelledBatch = { ...rows, types, places, labels: Float32Array.from(labels), tokens: tokensOf(rows), sources: [] };
  return { batch, ...statesOf(rows), places, recorded: Int32Array.from(places.keys()), isRelative: false };
};

/** Sources with the tokens of their targets as labels. */
const targets = (source: TokenRows, labels: Int32Array, shape: readonly number[]): Recorded => {
  const ids = labels.map((label) => Math.max(label, 0));
  const target = rowsOf(
    ids,
    labels.map((label) => Number(label >= 0)),
    shape,
  );
  const batch: SourcedRows & TrainingBatch = { ...target, labels, source, tokens: tokensOf(source) + tokensOf(target) };
  const sizes = sequenceToSequence.shapeOf(batch);
  const { rows: _rows, labels: _labels, weights: _weights, ...feeds } = sequenceToSequence.feeds(batch, sizes);
  return {
    batch,
    states: (model, modules) => targetStates({ model, modules, differentiable: false }, sizes),
    feeds,
    places: seenPlaces(target),
    recorded: seenPlaces(target),
    isRelative: true,
  };
};

/** What a reference's token ids (B, T), attention mask (B, T) and labels are to a model. */
export const recordedOf = ({ head: { pool }, decoderStart }: Model, ids: HostTensor, mask: HostTensor, labels: HostTensor): Recorded => {
  const rows = rowsOf(ids.data as Int32Array, mask.data as Int32Array, ids.shape);
  if (pool !== undefined) return documents(rows, labels.data as Int32Array | Float32Array, pool);
  if (decoderStart !== undefined) return targets(rows, labels.data as Int32Array, labels.shape);
  return tokens(rows, labels.data as Int32Array);
};
