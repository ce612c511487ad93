/**
 * @file What a loss provides: the kind of example that it learns from, a batch as inputs, and a sum over the model's outputs with what it is divided by.
 * A loss is one file here and one line of registration; the trainer, the steps and the runs know none.
 */
import type { ExampleKind } from "../../data/index.ts";
import type { Tensor } from "../../graph/index.ts";
import type { Model } from "../../models/index.ts";
import type { Modules } from "../../nn/index.ts";
import type { HostTensor } from "../../util/index.ts";

/** What the trainer sees of a batch. */
export interface TrainingBatch {
  /** Tokens that the model reads, padding left out. */
  readonly tokens: number;
  /** Where its examples come from, for people. */
  readonly sources?: readonly string[];
}

/** The static sizes of a program, to which a loss adds its own; batches of equal sizes share a program. */
export interface StepShape {
  /** Rows that go through the model at once. */
  readonly B: number;
  /** Tokens of the longest row. */
  readonly T: number;
}

/** What a step may trade for memory. */
export interface MemorySettings {
  /** Whether layers' inner values are computed again for the backward pass; default from 1,024 tokens on. */
  readonly recompute?: boolean;
  /** Whether norms and attention weights are kept for the backward pass, rather than made again; default up to 512 tokens at once, unless layers are computed again. */
  readonly keep?: boolean;
  /** Labelled positions whose logits exist at once; default as many as take 32 MB. */
  readonly chunk?: number;
}

/** What a loss is computed from. */
export interface LossContext extends MemorySettings {
  readonly model: Model;
  /** The model with what is trained at work. */
  readonly modules: Modules;
  /** The model as it was before training: the stored base with nothing beside it and nothing to differentiate. */
  reference(): Modules;
  /** Whether the loss will be differentiated; false in an evaluation. */
  readonly differentiable: boolean;
  /** Is told the logits (B·T, E) of every router that `modules` go through, and the segments (B, T) of those tokens; only where something is made of them. */
  readonly onRouting?: (logits: Tensor, segments: Tensor) => void;
}

/** A mean in two scalars, so that it can be taken over many batches. */
export interface MetricParts {
  readonly sum: Tensor;
  readonly weight: Tensor;
}

export interface LossParts {
  /** The sum that is differentiated: a scalar. */
  readonly loss: Tensor;
  /** What the sum over all batches of an update is divided by: the number of tokens, rows or pairs, a scalar. */
  readonly weight: Tensor;
  /** Further figures to report, by name. */
  readonly metrics?: Readonly<Record<string, MetricParts>>;
  /** Vectors that an evaluation adds up over its batches, by name, for figures that are no means (a confusion matrix); only where not differentiable. */
  readonly counts?: Readonly<Record<string, Tensor>>;
}

/** Reported figures by name. */
export type Metrics = Readonly<Record<string, number>>;

export interface Loss<Example = unknown, Batch extends TrainingBatch = TrainingBatch, Shape extends StepShape = StepShape> {
  readonly name: string;
  /** What else decides its value, by name; a resumed run must have the same. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** What it learns from: how its examples are read, and how they become batches. */
  readonly kind: ExampleKind<Example, Batch, unknown, unknown>;
  /** Whether the model reads row b of a batch as its row b, before its head at least, so that rows can have adapters of their own; default no. */
  readonly keepsRows?: true;
  /** Whether what a row's loss is depends on the other rows of its batch, so that smaller batches are another loss; default no. */
  readonly spansBatch?: boolean;
  /** The sizes of the program that a batch needs. */
  shapeOf(batch: Batch): Shape;
  /** The inputs of that program, but for parameters and dropout. */
  feeds(batch: Batch, shape: Shape): Record<string, HostTensor>;
  /** Builds the loss into a program; it makes the inputs that `feeds` gives. */
  build(context: LossContext, shape: Shape): LossParts;
  /** What an evaluation reports of the mean loss and the means of the metrics; default the metrics as they are. */
  evaluationMetrics?(loss: number, metrics: Metrics): Metrics;
}
