/** @file What losses over labelled documents have in common: their batches, their inputs, and the logits of each document. It knows nothing about classes or values. */
import { labelledKind, type ExampleKind, type LabelledBatch, type LabelledExample } from "../../data/index.ts";
import { gather, input, type Tensor } from "../../graph/index.ts";
import type { Model } from "../../models/index.ts";
import { f32, i32, LowrankError, type HostTensor } from "../../util/index.ts";
import { rowFeeds, type LabelledShape } from "../feeds.ts";
import { hiddenStates, tokenInputs } from "../forward.ts";
import type { Loss, LossContext, LossParts } from "./loss.ts";

/** How a model whose head pools reads documents. */
export interface DocumentReader {
  readonly kind: ExampleKind<LabelledExample, LabelledBatch>;
  shapeOf(batch: LabelledBatch): LabelledShape;
  /** The inputs of `logits`: `ids`, `positions`, `segments`, `types` (B, T), and `rows` (L), padded. */
  feeds(batch: LabelledBatch, shape: LabelledShape): Record<string, HostTensor>;
  /** Logits of each document: (L, outputs). */
  logits(context: Pick<LossContext, "model" | "modules" | "differentiable" | "recompute">, shape: LabelledShape): Tensor;
}

const padded = <Values extends Int32Array | Float32Array>(values: Values, into: Values): Values => {
  into.set(values);
  return into;
};

/** The reader of a model's documents; `unsupported` where its head does not pool. */
export const documentReader = ({ type, head, tokenTypes = 0 }: Pick<Model, "type" | "head" | "tokenTypes">): DocumentReader => {
  const { pool, predicts, labels } = head;
  if (pool === undefined)
    throw new LowrankError("unsupported", `The head of this ${type} predicts ${predicts}, not labels of documents.`, {
      fix: "Train a classifier on it first (lowrank train --task classify).",
    });
  return {
    kind: labelledKind({ pool, classes: predicts === "classes" ? labels : undefined }),
    // As many documents as rows, or that twice, four times … where rows are packed.
    shapeOf: ({ rows: B, length: T, places }) => ({ B, T, L: B * 2 ** Math.max(0, Math.ceil(Math.log2(places.length / B))) }),
    feeds: (batch, { B, T, L }) => ({
      ...rowFeeds(batch),
      ...(tokenTypes > 1 && { types: i32(batch.types, [B, T]) }),
      rows: i32(padded(batch.places, new Int32Array(L))),
    }),
    logits: (context, shape) => {
      const { B, T, L } = shape;
      const types = tokenTypes > 1 ? { types: input("types", [B, T], "i32") } : {};
      const hidden = hiddenStates(context, context.modules, { ...tokenInputs(shape), ...types }); // (B·T, D)
      return context.model.head.logits(context.modules, gather(hidden, input("rows", [L], "i32")));
    },
  };
};

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

/** A loss over the documents of a batch; its inputs are those of the reader, and `labels` and `weights` (L). */
export const labelledLoss = (
  model: Pick<Model, "type" | "head" | "tokenTypes">,
  name: string,
  build: (documents: Documents, context: LossContext) => LossParts,
): LabelledLoss => {
  const reader = documentReader(model);
  return {
    name,
    settings: {},
    kind: reader.kind,
    keepsRows: true,
    shapeOf: reader.shapeOf,
    feeds: (batch, shape) => ({
      ...reader.feeds(batch, shape),
      labels: f32(padded(batch.labels, new Float32Array(shape.L))),
      weights: f32(new Float32Array(shape.L).fill(1, 0, batch.places.length)),
    }),
    build: (context, shape) => {
      const logits = reader.logits(context, shape);
      return build({ logits, labels: input("labels", [shape.L]), weights: input("weights", [shape.L]) }, context);
    },
  };
};
