import { describe, expect, it } from "vitest";
import { noEvaluations, observeEvaluation, type EarlyStoppingRules } from "./early-stopping.ts";

/** What each loss in turn leads to: "best", "best stop", "stop" or "". */
const verdicts = (losses: readonly number[], rules: EarlyStoppingRules): string[] => {
  let history = noEvaluations;
  return losses.map((loss, index) => {
    const verdict = observeEvaluation(history, { step: 10 * (index + 1), loss }, rules);
    history = verdict.history;
    return [verdict.isBest && "best", verdict.shouldStop && "stop"].filter(Boolean).join(" ");
  });
};

describe("observeEvaluation", () => {
  it.each<[string, number[], EarlyStoppingRules, string[]]>([
    ["stops after as many stale evaluations as the patience", [3, 2, 2.5, 2.1, 1], { patience: 2 }, ["best", "best", "", "stop", "best"]],
    ["starts to count anew after an improvement", [3, 3, 2, 2, 2], { patience: 2 }, ["best", "", "best", "", "stop"]],
    ["goes on for ever without patience", [1, 2, 3, 4], { patience: Infinity }, ["best", "", "", ""]],
    [
      "keeps a best that was too small an improvement",
      [3, 2.95, 2.94],
      { patience: 2, minimumImprovement: 0.1 },
      ["best", "best", "best stop"],
    ],
    ["adds small gains up", [3, 2.94, 2.88, 2.82], { patience: 2, minimumImprovement: 0.1 }, ["best", "best", "best", "best"]],
    ["never takes NaN for an improvement", [NaN, 2, NaN, NaN], { patience: 2 }, ["", "best", "", "stop"]],
  ])("%s", (_, losses, rules, expected) => {
    expect(verdicts(losses, rules)).toEqual(expected);
  });

  it("keeps a history that survives JSON", () => {
    const { history } = observeEvaluation(noEvaluations, { step: 10, loss: 0.1 + 0.2 }, { patience: 3 });
    expect(history).toEqual({ best: { step: 10, loss: 0.30000000000000004 }, reference: 0.30000000000000004, stale: 0 });
    expect(JSON.parse(JSON.stringify(history))).toEqual(history);
    expect(observeEvaluation(noEvaluations, { step: 10, loss: NaN }, { patience: 3 }).history).toEqual({ stale: 1 });
  });
});
