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
  /** Makes one update of `parameters` in place, without allocating anything of their size. */
  update(parameters: Float32Array, gradient: Float32Array, learningRate: number): void;
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

/**
 * The learning-rate multipliers of a layout, neighbours with the same one joined.
 * LoRA+ gives B `loraPlusRatio` times the rate of everything else [Hayou et al. 2024, λ = η_B / η_A].
 */
export const rateSpans = (layout: ParameterLayout, loraPlusRatio: number): RateSpan[] => {
  const spans: RateSpan[] = [];
  for (const { role, offset, size } of layout.slots) {
    const multiplier = roles[role].rate === "B" ? loraPlusRatio : 1;
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
