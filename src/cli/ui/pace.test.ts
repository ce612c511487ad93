import { describe, expect, it } from "vitest";
import { runStart, stepEnd } from "./events.fixture.ts";
import { pace } from "./pace.ts";

describe("pace", () => {
  it("knows nothing before the first update", () => {
    const progress = pace();
    expect([progress.step, progress.steps, progress.smoothedLoss, progress.secondsLeft]).toEqual([0, 0, NaN, Infinity]);
    progress.listen({ ...runStart, resumedStep: 40 });
    expect([progress.step, progress.steps]).toEqual([40, 100]);
  });

  it("smooths the loss without a bias to zero", () => {
    const progress = pace();
    for (const [index, loss] of [4, 2, 3].entries()) progress.listen(stepEnd(index + 1, loss));
    expect(progress.trend[0]).toBeCloseTo(4, 12);
    expect(progress.trend[1]).toBeCloseTo((0.9 * 4 + 2) / 1.9, 12);
    expect(progress.smoothedLoss).toBeCloseTo((0.81 * 4 + 0.9 * 2 + 3) / 2.71, 12);
  });

  it("judges the time left by the last twenty updates", () => {
    const progress = pace();
    progress.listen(runStart);
    for (let step = 1; step <= 30; step++) progress.listen(stepEnd(step, 1, step <= 10 ? 60 : 2));
    expect(progress.secondsLeft).toBe(140);
  });
});
