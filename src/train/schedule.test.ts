import { describe, expect, it } from "vitest";
import { learningRateAt, type LearningRateSchedule } from "./schedule.ts";

// Rates of transformers 5.18's get_{constant,linear,cosine}_schedule_with_warmup at a peak of 2e-4 over 10 steps.
const cases: [LearningRateSchedule["schedule"], number, number[]][] = [
  ["constant", 0, [2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4]],
  ["constant", 3, [0, 6.666666666666667e-5, 1.3333333333333334e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4, 2e-4]],
  ["linear", 0, [2e-4, 1.8e-4, 1.6e-4, 1.4e-4, 1.2e-4, 1e-4, 8e-5, 6e-5, 4e-5, 2e-5, 0]],
  [
    "linear",
    3,
    [
      0, 6.666666666666667e-5, 1.3333333333333334e-4, 2e-4, 1.7142857142857143e-4, 1.4285714285714287e-4, 1.1428571428571428e-4,
      8.571428571428571e-5, 5.714285714285714e-5, 2.857142857142857e-5, 0,
    ],
  ],
  ["linear", 10, [0, 2e-5, 4e-5, 6e-5, 8e-5, 1e-4, 1.2e-4, 1.4e-4, 1.6e-4, 1.8e-4]],
  [
    "cosine",
    0,
    [
      2e-4, 1.9510565162951537e-4, 1.8090169943749476e-4, 1.5877852522924732e-4, 1.3090169943749476e-4, 1e-4, 6.909830056250527e-5,
      4.12214747707527e-5, 1.9098300562505266e-5, 4.8943483704846475e-6, 0,
    ],
  ],
  [
    "cosine",
    3,
    [
      0, 6.666666666666667e-5, 1.3333333333333334e-4, 2e-4, 1.900968867902419e-4, 1.6234898018587337e-4, 1.2225209339563145e-4,
      7.774790660436858e-5, 3.7651019814126654e-5, 9.903113209758096e-6, 0,
    ],
  ],
];

describe("learningRateAt", () => {
  it.each(cases)("follows %s with %i warm-up steps", (schedule, warmupSteps, rates) => {
    rates.forEach((rate, step) =>
      expect(learningRateAt({ schedule, peak: 2e-4, warmupSteps, totalSteps: 10 }, step), `step ${step}`).toBeCloseTo(rate, 15),
    );
  });

  it.each(["linear", "cosine"] as const)("stays at zero after the last step of %s", (schedule) => {
    for (const step of [10, 11, 1000]) expect(learningRateAt({ schedule, peak: 1, warmupSteps: 3, totalSteps: 10 }, step)).toBe(0);
  });
});
