/**
 * @file AdaLoRA's choice of ranks: after each update the least important triplets (column of A, value of E, row of B) lose their value, ever
 * more of them, until the budget of the end is reached [Zhang et al. 2023, §3.2 and §3.3]. It knows nothing about how parameters are moved.
 */
import type { StoredAdapter } from "../../lora/index.ts";
import type { ParameterSlot } from "../../nn/layout.ts";
import { restoreVectors, type Optimiser, type OptimiserState } from "./optimiser.ts";

/** Where one target's triplets lie in the flat vectors. */
interface Triplets {
  readonly A: ParameterSlot; // (in, r)
  readonly B: ParameterSlot; // (r, out)
  readonly E: ParameterSlot; // (r, 1)
}

interface Schedule {
  readonly tinit: number;
  readonly tfinal: number;
  readonly deltaT: number;
  readonly total: number;
  /** Ranks at the start and in the end, of all targets together. */
  readonly from: number;
  readonly to: number;
}

/** Ranks that are left after an update, and whether the others lose their value now [eq. 12, with PEFT's rounding]. */
const budgetAt = (step: number, { tinit, tfinal, deltaT, total, from, to }: Schedule): { budget: number; isDue: boolean } => {
  const last = total - tfinal;
  if (step <= tinit) return { budget: from, isDue: false };
  if (step >= last) return { budget: to, isDue: step === last };
  const left = 1 - (step - tinit) / (last - tinit);
  return { budget: Math.trunc((from - to) * left ** 3 + to), isDue: step % deltaT === 0 };
};

// Ī ← β₁Ī + (1 − β₁)·|θg|, Ū ← β₂Ū + (1 − β₂)·||θg| − Ī| [eq. 9 and 10]; apart from its caller for the reason given in adamw.ts.
const observe = (
  parameters: Float32Array,
  gradient: Float32Array,
  importance: Float32Array,
  uncertainty: Float32Array,
  { beta1, beta2, factor }: { readonly beta1: number; readonly beta2: number; readonly factor: number },
): void => {
  for (let index = 0; index < parameters.length; index++) {
    const now = Math.abs(parameters[index] * Math.fround(gradient[index] * factor));
    const mean = beta1 * importance[index] + (1 - beta1) * now;
    importance[index] = mean;
    uncertainty[index] = beta2 * uncertainty[index] + (1 - beta2) * Math.abs(now - mean);
  }
};

/** Score of each rank: that of its value, and the means of those of its two vectors [eq. 8], where an entry scores Ī·Ū [eq. 11]. */
const scoresOf = ({ A, B, E }: Triplets, importance: Float32Array, uncertainty: Float32Array): Float64Array => {
  const [inFeatures, r] = A.shape;
  const [, outFeatures] = B.shape;
  const score = (at: number): number => importance[at] * uncertainty[at];
  return Float64Array.from({ length: r }, (_, rank) => {
    let left = 0;
    for (let row = 0; row < inFeatures; row++) left += score(A.offset + row * r + rank);
    let right = 0;
    for (let column = 0; column < outFeatures; column++) right += score(B.offset + rank * outFeatures + column);
    return score(E.offset + rank) + left / inFeatures + right / outFeatures;
  });
};

/** Takes the value of all ranks but the `budget` most important ones of all targets together. */
const takeRanks = (parameters: Float32Array, triplets: readonly Triplets[], vectors: OptimiserState["vectors"], budget: number): void => {
  const scores = triplets.map((one) => scoresOf(one, vectors["importance"], vectors["uncertainty"]));
  const ascending = scores.flatMap((list) => [...list]).sort((a, b) => a - b);
  const taken = ascending.length - budget;
  if (taken < 1) return;
  const threshold = ascending[taken - 1];
  triplets.forEach(({ E }, target) => scores[target].forEach((score, rank) => score <= threshold && (parameters[E.offset + rank] = 0)));
};

/** An optimiser that keeps the adapter's ranks within AdaLoRA's budget. Its vectors are part of the optimiser's memory. */
export const rankBudget = (optimiser: Optimiser, { adapter }: Pick<StoredAdapter, "adapter">): Optimiser => {
  const { layout, targets, config } = adapter;
  const { tinit, tfinal, deltaT, beta1, beta2, target_r, total_step } = config.adalora!;
  const slots = new Map(layout.slots.map((slot) => [slot.name, slot]));
  const triplets = [...targets.keys()].map((module): Triplets => {
    const [A, B, E] = ["lora_A", "lora_B", "lora_E"].map((name) => slots.get(`${module}.${name}`)!);
    return { A, B, E };
  });
  const schedule = { tinit, tfinal, deltaT, total: total_step!, from: config.r * targets.size, to: target_r * targets.size };
  const vectors = { importance: new Float32Array(layout.size), uncertainty: new Float32Array(layout.size) };
  const values = triplets.flatMap(({ E }) => Array.from({ length: E.size }, (_, rank) => E.offset + rank));
  const state = (): OptimiserState => {
    const own = optimiser.state();
    return { step: own.step, vectors: { ...own.vectors, ...vectors } };
  };
  return {
    name: optimiser.name,
    update(parameters, gradient, learningRate, factor = 1) {
      const step = optimiser.state().step + 1;
      const isFinal = step > schedule.total - tfinal;
      // What has lost its value for good has zero there: no other memory is needed to keep it so.
      const gone = isFinal ? values.filter((at) => parameters[at] === 0) : [];
      optimiser.update(parameters, gradient, learningRate, factor);
      for (const at of gone) parameters[at] = 0;
      if (step < schedule.total - tfinal) observe(parameters, gradient, vectors.importance, vectors.uncertainty, { beta1, beta2, factor });
      const { budget, isDue } = budgetAt(step, schedule);
      if (isDue) takeRanks(parameters, triplets, vectors, budget);
    },
    state,
    restore(saved) {
      restoreVectors(optimiser.name, state().vectors, saved.vectors);
      optimiser.restore({
        step: saved.step,
        vectors: Object.fromEntries(Object.keys(optimiser.state().vectors).map((name) => [name, saved.vectors[name]])),
      });
    },
  };
};
