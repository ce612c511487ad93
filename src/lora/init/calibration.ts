/** @file What starting values may learn from data, and how they ask for it. It knows nothing about who runs the model. */
import type { HostTensor } from "../../util/index.ts";
import type { AdapterTarget } from "../targets.ts";

export interface InputOptions {
  /** The tokens that count: all, or only those that are learned. */
  readonly rows: "all" | "supervised";
  /** What inputs are divided by: nothing, or the largest value of their batch. */
  readonly scale: "none" | "largest";
}

/** Sums over the rows x (in) that a module reads. */
export interface InputMoments {
  /** Σ x·xᵀ: (in, in). */
  readonly second: Float32Array;
  /** Σ x: (in). */
  readonly sum: Float32Array;
  /** How many rows, and in how many batches. */
  readonly rows: number;
  readonly batches: number;
}

/** What batches of data say about the modules of a base, one after another in the order asked, so that nothing is kept longer than needed. */
export interface Calibration {
  /** Modules that read the same get the same object. */
  inputs(targets: readonly AdapterTarget[], options: InputOptions): AsyncIterable<InputMoments>;
  /** The gradient of the mean loss with respect to each weight, as the checkpoint holds it, averaged over the batches. */
  gradients(targets: readonly AdapterTarget[]): AsyncIterable<HostTensor>;
}
