/** @file The learning rate as a function of the step. It knows nothing about optimisers. */

export const schedules = ["constant", "linear", "cosine"] as const;

export interface LearningRateSchedule {
  /** What follows the warm-up: the peak rate, a straight line to zero, or half a cosine to zero. */
  readonly schedule: (typeof schedules)[number];
  readonly peak: number;
  /** Updates over which the rate rises from zero to the peak. */
  readonly warmupSteps: number;
  /** Updates in the whole run, the warm-up included. */
  readonly totalSteps: number;
}

// The share of the peak rate once the warm-up is over; `progress` runs from 0 to 1 and stays at 1 afterwards.
const shapes: Record<LearningRateSchedule["schedule"], (progress: number) => number> = {
  constant: () => 1,
  linear: (progress) => 1 - progress,
  cosine: (progress) => 0.5 * (1 + Math.cos(Math.PI * progress)),
};

/**
 * The rate of the update `step`, counted from 0. Warm-up starts at rate 0, as in the schedules of Hugging Face transformers.
 * @example learningRateAt({ schedule: "cosine", peak: 2e-4, warmupSteps: 10, totalSteps: 100 }, 55); // 1e-4
 */
export const learningRateAt = ({ schedule, peak, warmupSteps, totalSteps }: LearningRateSchedule, step: number): number => {
  if (step < warmupSteps) return peak * (step / warmupSteps);
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return peak * shapes[schedule](progress);
};
