import pc from "picocolors";
import { describe, expect, it } from "vitest";
import type { TrainEvent } from "../../train/events.ts";
import { dataReady, evalEnd, runEnd, runStart, stepEnd } from "./events.fixture.ts";
import { eventLines, stepTexts } from "./event-text.ts";

const report = (dataReady as Extract<TrainEvent, { type: "data-ready" }>).report;

describe("eventLines", () => {
  it.each<[string, TrainEvent, string[]]>([
    [
      "a run that accumulates from scratch",
      { ...runStart, plan: { ...runStart.plan, method: "pretrain", model: "new", trainable: 1000, total: 1000, steps: 1, accumulate: 8 } },
      ["new  training from scratch, 1,000 of 1,000 parameters train (100 %)", "1 step of 8 × 4 × 256 tokens, 102,400 tokens in all"],
    ],
    [
      "data without losses",
      { type: "data-ready", report: { ...report, examples: 1, truncated: 0, dropped: 0, evaluationExamples: 0 } },
      ["1 example; 262,144 tokens, 43 % supervised"],
    ],
    [
      "data that does not teach to stop",
      { type: "data-ready", report: { ...report, truncated: 0, dropped: 0, endTokenSupervised: false } },
      [
        "1,024 examples; 262,144 tokens, 43 % supervised; 64 held out",
        "The end token is never supervised, so the model does not learn when to stop.",
      ],
    ],
    [
      "a memory limit",
      {
        type: "memory-planned",
        limit: 2e9,
        plan: {
          batchSize: 1,
          accumulate: 4,
          recompute: true,
          keep: false,
          chunk: 256,
          estimate: { weights: 5e8, activations: 2e8, optimiser: 1e8, overhead: 1.5e8, total: 9.5e8 },
        },
      },
      [
        "about 950 MB of 2.00 GB of memory: weights 500 MB, activations 200 MB, optimiser 100 MB, process 150 MB",
        "for that, updates of 4 × 1 row, layers computed again, logits of 256 positions at once",
      ],
    ],
    ["an evaluation", evalEnd(1200, 2.25, false), ["step 1,200  held-out loss 2.250  perplexity 9.488"]],
    [
      "an evaluation of preferences",
      { ...evalEnd(5, 0.5, false), metrics: { margin: 0.25, chosenLogProb: -90 } },
      ["step 5  held-out loss 0.5000  margin 0.2500  chosen log prob -90.00"],
    ],
    ["a checkpoint", { type: "checkpoint-saved", step: 5, path: "runs/a", kind: "last" }, ["step 5  saved runs/a"]],
    [
      "an interruption",
      { type: "run-end", reason: "interrupted", step: 7, seconds: 3, tokens: 1, loss: 4 },
      ["Interrupted after step 7: 1 token in 3.0 s, loss 4.000"],
    ],
    [
      "early stopping",
      { ...runEnd, reason: "early-stopping" },
      ["Stopped early after step 100: 102,400 tokens in 51 s, loss 2.135", "best held-out loss 2.201 at step 80", "written to runs/tales"],
    ],
    ["a compiled program", { type: "compile-end", shape: [4, 256], seconds: 1 }, []],
  ])("of %s", (_, event, lines) => {
    expect(eventLines(event, pc.createColors(false))).toEqual(lines);
  });

  it("show the first two metrics of an update", () => {
    const metrics = { margin: 0.25, accuracy: 0.75, chosenReward: 0.5 };
    expect(stepTexts({ ...stepEnd(1), metrics }).metrics).toEqual(["margin 0.2500", "accuracy 0.7500"]);
  });

  it("warns in yellow and praises in green", () => {
    const colours = pc.createColors(true);
    expect(eventLines(evalEnd(1, 2, true), colours)[0]).toContain("\x1b[32mbest so far\x1b[39m");
    expect(eventLines({ type: "data-ready", report: { ...report, endTokenSupervised: false } }, colours).join()).toMatch(
      /\x1b\[33m3 dropped\x1b\[39m.*\x1b\[33mThe end token/, // eslint-disable-line no-control-regex
    );
  });
});
