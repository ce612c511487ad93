/** @file Stochastic gradient descent with optional momentum, with the arithmetic of torch.optim.SGD. It knows nothing about schedules. */
import type { ParameterLayout } from "../../nn/layout.ts";
import { rateSpans, restoreVectors, type Optimiser, type OptimiserState, type RateRatios, type RateSpan } from "./optimiser.ts";

export interface SgdOptions extends RateRatios {
  /** Share of the earlier direction that an update keeps, default 0 (none, and no memory). */
  readonly momentum?: number;
  /** Added to the gradient times the parameter (not decoupled), default 0. */
  readonly weightDecay?: number;
}

// u ← μu + g + λθ, θ ← θ − ηu; outside `sgd` for the reason given in adamw.ts.
const updateSpan = (
  parameters: Float32Array,
  gradient: Float32Array,
  velocity: Float32Array | undefined,
  { start, end }: RateSpan,
  { rate, momentum, weightDecay, factor }: { rate: number; momentum: number; weightDecay: number; factor: number },
): void => {
  for (let index = start; index < end; index++) {
    let direction = Math.fround(gradient[index] * factor) + weightDecay * parameters[index];
    if (velocity !== undefined) {
      direction += momentum * velocity[index];
      velocity[index] = direction;
    }
    parameters[index] -= rate * direction;
  }
};

/** A gradient descent optimiser for the parameters of `layout`. */
export const sgd = (layout: ParameterLayout, { momentum = 0, weightDecay = 0, ...ratios }: SgdOptions = {}): Optimiser => {
  const spans = rateSpans(layout, ratios);
  const velocity = momentum === 0 ? undefined : new Float32Array(layout.size);
  const vectors: OptimiserState["vectors"] = velocity === undefined ? {} : { velocity };
  let step = 0;
  return {
    name: "sgd",
    update(parameters, gradient, learningRate, factor = 1) {
      step += 1;
      for (const span of spans) {
        updateSpan(parameters, gradient, velocity, span, { rate: learningRate * span.multiplier, momentum, weightDecay, factor });
      }
    },
    state: () => ({ step, vectors }),
    restore(state) {
      restoreVectors("sgd", vectors, state.vectors);
      step = state.step;
    },
  };
};
