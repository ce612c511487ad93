/** @file What an optimiser promises: it updates one flat vector in place, and its whole memory can be saved. It knows nothing about the loss. */
import { roles, type ParameterLayout } from "../../nn/layout.ts";
import { LowrankError } from "../../util/index.ts";

/** An optimiser's memory: the updates made so far, and flat vectors as long as the parameters. */
export interface OptimiserState {
  readonly step: number;
  readonly vectors: Readonly<Record<string, Float32Array>>;
}

export interface Optimiser {
  readonly name: string;
  /**
   * Makes one update of `parameters` in place, without allocating anything of their size. The gradient is what `factor` (default 1)
   * makes of it, rounded to float32.
   */
  update(parameters: Float32Array, gradient: Float32Array, learningRate: number, factor?: number): void;
  /** The memory itself, not a copy: the next update changes it. */
  state(): OptimiserState;
  /** Copies a saved memory in; `shape-mismatch` when it belongs to another optimiser or layout. */
  restore(state: OptimiserState): void;
}

/** Elements `start … end` that share a learning rate of `multiplier` times the run's. */
export interface RateSpan {
  readonly start: number;
  readonly end: number;
  readonly multiplier: number;
}

/** Learning rates over that of the run, as LoRA+ has them. */
export interface RateRatios {
  /** Of B and of everything with one dimension, such as biases and magnitudes; default 1. */
  readonly loraPlusRatio?: number;
  /** Of the factors of embeddings, default 1. */
  readonly embeddingRatio?: number;
}

/** The learning-rate multipliers of a layout, neighbours with the same one joined [Hayou et al. 2024, λ = η_B / η_A; groups as in PEFT]. */
export const rateSpans = (layout: ParameterLayout, { loraPlusRatio = 1, embeddingRatio = 1 }: RateRatios): RateSpan[] => {
  const multipliers = { A: 1, B: loraPlusRatio, embedding: embeddingRatio };
  const spans: RateSpan[] = [];
  for (const { role, shape, offset, size } of layout.slots) {
    const multiplier = multipliers[shape.length === 1 ? "B" : roles[role].rate];
    const last = spans.at(-1);
    if (last?.multiplier === multiplier) spans[spans.length - 1] = { ...last, end: offset + size };
    else spans.push({ start: offset, end: offset + size, multiplier });
  }
  return spans;
};

/** Copies saved vectors into an optimiser's own, after checking that names and lengths agree. */
export const restoreVectors = (optimiser: string, own: OptimiserState["vectors"], saved: OptimiserState["vectors"]): void => {
  const described = (vectors: OptimiserState["vectors"]): string =>
    Object.entries(vectors)
      .map(([name, vector]) => `${name} (${vector.length})`)
      .sort()
      .join(", ") || "nothing";
  if (described(own) !== described(saved)) {
    throw new LowrankError("shape-mismatch", `The saved optimiser holds ${described(saved)}; ${optimiser} needs ${described(own)}.`, {
      fix: "Resume with the optimiser and the adapter settings that the run was started with.",
    });
  }
  for (const [name, vector] of Object.entries(saved)) own[name].set(vector);
};
