/** @file Everything that a training run says, as a union of plain JSON objects. It knows nothing about who listens. */

import type { MemoryPlan } from "./memory-plan.ts";

/** What a run is about to do. */
export interface RunPlan {
  /** Name or folder of the base model. */
  readonly model: string;
  readonly method: "lora" | "full" | "pretrain";
  /** Name of the loss. */
  readonly loss: string;
  /** Parameters that the run changes, and all there are. */
  readonly trainable: number;
  readonly total: number;
  /** Optimiser updates in the whole run. */
  readonly steps: number;
  readonly epochs: number;
  /** Rows per micro-batch, micro-batches per update, tokens per row. */
  readonly batchSize: number;
  readonly accumulate: number;
  readonly sequenceLength: number;
  /** Tokens that the whole run reads, padding left out. */
  readonly tokens: number;
}

/** What became of the training data on its way to token ids. */
export interface DataSummary {
  readonly examples: number;
  readonly evaluationExamples: number;
  readonly tokens: number;
  /** Tokens that the loss counts. */
  readonly supervised: number;
  readonly truncated: number;
  readonly dropped: number;
  /** Whether the model is taught to stop: the end token is supervised in at least one example, or nothing is to be written. */
  readonly endTokenSupervised: boolean;
}

export interface RunStart {
  readonly type: "run-start";
  readonly plan: RunPlan;
  /** The step of the checkpoint that the run continues from. */
  readonly resumedStep?: number;
}

export interface DataReady {
  readonly type: "data-ready";
  readonly report: DataSummary;
}

/** What a run does to stay within a memory limit, and what it is expected to take. */
export interface MemoryPlanned {
  readonly type: "memory-planned";
  readonly limit: number;
  readonly plan: MemoryPlan;
}

/** A program for batches of `shape` (rows, tokens of the longest) is about to be built. */
export interface CompileStart {
  readonly type: "compile-start";
  readonly shape: readonly [rows: number, tokens: number];
}

export interface CompileEnd {
  readonly type: "compile-end";
  readonly shape: readonly [rows: number, tokens: number];
  readonly seconds: number;
}

/** One optimiser update is done; `step` counts them from 1. */
export interface StepEnd {
  readonly type: "step-end";
  readonly step: number;
  /** Passes over the data so far, with a fraction. */
  readonly epoch: number;
  /** Mean over the update: of supervised tokens in nats, or of what else the loss counts. */
  readonly loss: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** Tokens of this update, padding left out. */
  readonly tokens: number;
  /** What the loss is a mean of: the number of supervised tokens, rows or pairs. */
  readonly weight: number;
  /** What else the loss reports, as means over the update. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  /** Resident memory of the process. */
  readonly memoryBytes: number;
}

/** The held-out data has been evaluated after `step` updates; 0 is before the first. */
export interface EvalEnd {
  readonly type: "eval-end";
  readonly step: number;
  readonly loss: number;
  /** What the loss is a mean of, as in `step-end`. */
  readonly weight: number;
  /** What else the loss reports, such as its perplexity. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Counts for figures that are no means, such as the cells of a confusion matrix row by row. */
  readonly counts: Readonly<Record<string, readonly number[]>>;
  /** Whether no earlier evaluation was lower. */
  readonly best: boolean;
  readonly seconds: number;
}

export interface CheckpointSaved {
  readonly type: "checkpoint-saved";
  readonly step: number;
  readonly path: string;
  /** "best" when it is also the one with the lowest held-out loss so far. */
  readonly kind: "last" | "best";
}

export type RunEndReason = "completed" | "max-steps" | "early-stopping" | "interrupted";

export interface RunEnd {
  readonly type: "run-end";
  readonly reason: RunEndReason;
  readonly step: number;
  /** Of this process: a resumed run starts at zero again. */
  readonly seconds: number;
  readonly tokens: number;
  /** Mean training loss of the last update, and the best held-out loss where there was any. */
  readonly loss: number;
  readonly best?: { readonly step: number; readonly loss: number };
  /** Where the result was written. */
  readonly output?: string;
}

export type TrainEvent = RunStart | DataReady | MemoryPlanned | CompileStart | CompileEnd | StepEnd | EvalEnd | CheckpointSaved | RunEnd;

/** Something that is told of every event, in order. */
export type TrainListener = (event: TrainEvent) => void;
