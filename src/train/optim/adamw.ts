/** @file AdamW (Loshchilov and Hutter 2019), with the arithmetic of torch.optim.AdamW. It knows nothing about schedules. */
import type { ParameterLayout } from "../../nn/layout.ts";
import { rateSpans, restoreVectors, type Optimiser, type RateRatios, type RateSpan } from "./optimiser.ts";

export interface AdamWOptions extends RateRatios {
  /** Decay of the first moment, default 0.9. */
  readonly beta1?: number;
  /** Decay of the second moment, default 0.999. */
  readonly beta2?: number;
  /** Added to the root of the second moment, default 1e-8. */
  readonly epsilon?: number;
  /** Share of each parameter, times its learning rate, that an update takes away; default 0.01. */
  readonly weightDecay?: number;
}

/** The numbers of one update that every element of a span shares. */
interface Coefficients {
  readonly kept: number; // 1 − ηλ
  readonly stepSize: number; // η / (1 − β₁ᵗ)
  readonly rootCorrection: number; // 1 / √(1 − β₂ᵗ)
  readonly gain1: number; // 1 − β₁
  readonly beta2: number;
  readonly gain2: number; // 1 − β₂
  readonly epsilon: number;
  readonly factor: number; // on the gradient
}

// θ ← θ(1 − ηλ) − (η / (1 − β₁ᵗ)) · m / (√v / √(1 − β₂ᵗ) + ε)
// It stands outside `adamw` because V8 runs a loop over captured arrays twenty times slower once it is inlined into `update`.
const updateSpan = (
  parameters: Float32Array,
  gradient: Float32Array,
  firstMoment: Float32Array,
  secondMoment: Float32Array,
  { start, end }: RateSpan,
  { kept, stepSize, rootCorrection, gain1, beta2, gain2, epsilon, factor }: Coefficients,
): void => {
  for (let index = start; index < end; index++) {
    const slope = Math.fround(gradient[index] * factor);
    const first = firstMoment[index] + gain1 * (slope - firstMoment[index]);
    const second = beta2 * secondMoment[index] + gain2 * slope * slope;
    firstMoment[index] = first;
    secondMoment[index] = second;
    parameters[index] = parameters[index] * kept - (stepSize * first) / (Math.sqrt(second) * rootCorrection + epsilon);
  }
};

/** An AdamW optimiser for the parameters of `layout`. */
export const adamw = (
  layout: ParameterLayout,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01, ...ratios }: AdamWOptions = {},
): Optimiser => {
  const spans = rateSpans(layout, ratios);
  const vectors = { first_moment: new Float32Array(layout.size), second_moment: new Float32Array(layout.size) };
  let step = 0;
  return {
    name: "adamw",
    update(parameters, gradient, learningRate, factor = 1) {
      step += 1;
      const correction1 = 1 - beta1 ** step;
      const rootCorrection = 1 / Math.sqrt(1 - beta2 ** step);
      for (const span of spans) {
        const rate = learningRate * span.multiplier;
        updateSpan(parameters, gradient, vectors.first_moment, vectors.second_moment, span, {
          kept: 1 - rate * weightDecay,
          stepSize: rate / correction1,
          rootCorrection,
          gain1: 1 - beta1,
          beta2,
          gain2: 1 - beta2,
          epsilon,
          factor,
        });
      }
    },
    state: () => ({ step, vectors }),
    restore(state) {
      restoreVectors("adamw", vectors, state.vectors);
      step = state.step;
    },
  };
};
