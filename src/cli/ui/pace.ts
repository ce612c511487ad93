/** @file How far a run is and how long it will take: the figures that both training views show. It knows nothing about how they are shown. */
import type { TrainEvent } from "../../train/events.ts";

/** Weight of the past in the smoothed loss. */
const memory = 0.9;
/** Updates that the time left is judged by. */
const window = 20;

export interface Pace {
  listen(event: TrainEvent): void;
  readonly step: number;
  /** Updates in the whole run; 0 until the run has said so. */
  readonly steps: number;
  /** Exponential mean of the loss, corrected for its start; NaN before the first update. */
  readonly smoothedLoss: number;
  /** The smoothed losses of all updates so far. */
  readonly trend: readonly number[];
  /** Infinity before the first update. */
  readonly secondsLeft: number;
}

/** Follows a run's progress. */
export const pace = (): Pace => {
  let step = 0;
  let steps = 0;
  let sum = 0;
  let weight = 0;
  const trend: number[] = [];
  const recent: number[] = [];
  return {
    listen(event) {
      if (event.type === "run-start") {
        steps = event.plan.steps;
        step = event.resumedStep ?? 0;
      }
      if (event.type !== "step-end") return;
      step = event.step;
      sum = memory * sum + (1 - memory) * event.loss;
      weight = memory * weight + (1 - memory);
      trend.push(sum / weight);
      recent.push(event.seconds);
      if (recent.length > window) recent.shift();
    },
    get step() {
      return step;
    },
    get steps() {
      return steps;
    },
    get smoothedLoss() {
      return sum / weight;
    },
    trend,
    get secondsLeft() {
      if (recent.length === 0) return Infinity;
      return (recent.reduce((total, seconds) => total + seconds, 0) / recent.length) * (steps - step);
    },
  };
};
