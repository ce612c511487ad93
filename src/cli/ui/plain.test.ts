import { describe, expect, it } from "vitest";
import { dataReady, evalEnd, runEnd, runStart, stepEnd } from "./events.fixture.ts";
import { plainView } from "./plain.ts";

/** The lines of a run of some steps that take some seconds each. */
const linesOf = (steps: number, seconds: number): string[] => {
  const lines: string[] = [];
  let time = 0;
  const view = plainView((line) => lines.push(line), { now: () => time });
  view.listen({ ...runStart, plan: { ...runStart.plan, steps } });
  lines.length = 0;
  for (let step = 1; step <= steps; step++) {
    time += 1000 * seconds;
    view.listen(stepEnd(step, 2.5, seconds));
  }
  return lines;
};

const stepsOf = (lines: readonly string[]): number[] => lines.map((line) => Number(/step ([\d,]+)/.exec(line)![1].replace(",", "")));

describe("plainView", () => {
  it("writes every event as it stays", () => {
    const lines: string[] = [];
    const view = plainView((line) => lines.push(line), { now: () => 0 });
    [{ ...runStart, resumedStep: 40 }, dataReady, stepEnd(41, 2.5), evalEnd(50, 2.3, false), stepEnd(100, 3.5), runEnd].forEach(
      view.listen,
    );
    view.say("a remark");
    view.close();
    expect(lines).toEqual([
      "SmolLM2-135M  LoRA, 4,884,480 of 139,399,680 parameters train (3.5 %)",
      "100 steps of 4 × 256 tokens, 102,400 tokens in all",
      "continuing after step 40",
      "1,024 examples; 262,144 tokens, 43 % supervised; 12 truncated; 3 dropped; 64 held out",
      "step 41/100  loss 2.500  rate 1.87e-4  gradient 0.8312  2,048 tokens/s  1.31 GB  30 s left",
      "step 50  held-out loss 2.300  perplexity 9.974",
      "step 100/100  loss 3.026  rate 1.87e-4  gradient 0.8312  2,048 tokens/s  1.31 GB  0 ms left",
      "Finished after step 100: 102,400 tokens in 51 s, loss 2.135",
      "best held-out loss 2.201 at step 80",
      "written to runs/tales",
      "a remark",
    ]);
  });

  it.each<[string, number, number, number[]]>([
    ["every twentieth of the run", 100, 1, [1, 6, 11, 16, 21, 26, 31, 36, 41, 46, 51, 56, 61, 66, 71, 76, 81, 86, 91, 96, 100]],
    ["at most one a second", 100, 0.03125, [1, 33, 65, 97, 100]],
    ["at least one a minute", 1000, 20, Array.from({ length: 334 }, (_, index) => 1 + 3 * index)],
    ["every step of a short run", 4, 2, [1, 2, 3, 4]],
  ])("writes %s", (_, steps, seconds, expected) => {
    expect(stepsOf(linesOf(steps, seconds))).toEqual(expected);
  });
});
