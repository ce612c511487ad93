/** @file What losses over labelled documents have in common: their batches, their inputs, and the logits of each document. It knows nothing about classes or values. */
import { labelledKind, type LabelledBatch, type LabelledExample } from "../../data/index.ts";
import { gather, input, type Tensor } from "../../graph/index.ts";
import type { Model } from "../../models/index.ts";
import { f32, i32, LowrankError, type HostTensor } from "../../util/index.ts";
import { rowFeeds, type LabelledShape } from "../feeds.ts";
import { hiddenStates, tokenInputs } from "../forward.ts";
import type { Loss, LossContext, LossParts } from "./loss.ts";

/** A batch's documents in a program, padded to L. */
export interface Documents {
  /** (L, outputs) */
  readonly logits: Tensor;
  /** (L) float32 */
  readonly labels: Tensor;
  /** 1 for a document and 0 for padding: (L) */
  readonly weights: Tensor;
}

export type LabelledLoss = Loss<LabelledExample, LabelledBatch, LabelledShape>;

// As many documents as rows, or that twice, four times … where rows are packed.
const shapeOf = ({ rows: B, length: T, places }: LabelledBatch): LabelledShape => ({
  B,
  T,
  L: B * 2 ** Math.max(0, Math.ceil(Math.log2(places.length / B))),
});

const padded = <Values extends Int32Array | Float32Array>(values: Values, into: Values): Values => {
  into.set(values);
  return into;
};

const feedsOf =
  (hasTypes: boolean) =>
  (batch: LabelledBatch, { B, T, L }: LabelledShape): Record<string, HostTensor> => ({
    ...rowFeeds(batch),
    ...(hasTypes && { types: i32(batch.types, [B, T]) }),
    rows: i32(padded(batch.places, new Int32Array(L))),
    labels: f32(padded(batch.labels, new Float32Array(L))),
    weights: f32(new Float32Array(L).fill(1, 0, batch.places.length)),
  });

/** A loss over the documents of a batch. Inputs `ids`, `positions`, `segments`, `types` (B, T), `rows`, `labels`, `weights` (L). */
export const labelledLoss = (
  model: Pick<Model, "type" | "head" | "tokenTypes">,
  name: string,
  build: (documents: Documents, context: LossContext) => LossParts,
): LabelledLoss => {
  const { pool } = model.head;
  if (pool === undefined)
    throw new LowrankError("unsupported", `The head of this ${model.type} predicts ${model.head.predicts}, not labels of documents.`);
  const hasTypes = (model.tokenTypes ?? 0) > 1;
  return {
    name,
    settings: {},
    kind: labelledKind({ pool, classes: model.head.predicts === "classes" ? model.head.labels : undefined }),
    shapeOf,
    feeds: feedsOf(hasTypes),
    build: (context, shape) => {
      const { B, T, L } = shape;
      const types = hasTypes ? { types: input("types", [B, T], "i32") } : {};
      const hidden = hiddenStates(context, context.modules, { ...tokenInputs(shape), ...types }); // (B·T, D)
      const logits = context.model.head.logits(context.modules, gather(hidden, input("rows", [L], "i32")));
      return build({ logits, labels: input("labels", [L]), weights: input("weights", [L]) }, context);
    },
  };
};
