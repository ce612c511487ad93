/** @file What a training run says, in lines that stay on the screen. It knows nothing about terminals. */
import type { Colors } from "picocolors/types.js";
import { figuresOfCounts } from "../../evaluate/metrics/counts.ts";
import type { DataReady, EvalEnd, MemoryPlanned, RunEnd, RunStart, StepEnd, TrainEvent } from "../../train/events.ts";
import { formatBytes, formatCount, formatDuration, formatFigure, formatPercent, formatRate } from "./format.ts";

const methods = { lora: "LoRA", full: "full fine-tuning", pretrain: "training from scratch" } as const;

const plural = (count: number, noun: string): string => `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;

const runStart = ({ plan, resumedStep }: RunStart, { bold }: Colors): string[] => {
  const rows = plan.accumulate === 1 ? `${plan.batchSize}` : `${plan.accumulate} × ${plan.batchSize}`;
  return [
    `${bold(plan.model)}  ${methods[plan.method]}, ${formatCount(plan.trainable)} of ${formatCount(plan.total)} parameters train (${formatPercent(plan.trainable / plan.total)})`,
    `${plural(plan.steps, "step")} of ${rows} × ${plan.sequenceLength} tokens, ${plural(plan.tokens, "token")} in all`,
    ...(resumedStep === undefined ? [] : [`continuing after step ${formatCount(resumedStep)}`]),
  ];
};

const dataReady = ({ report }: DataReady, { yellow }: Colors): string[] => {
  const share = formatPercent(report.supervised / report.tokens);
  const lost = [
    report.truncated > 0 && `${formatCount(report.truncated)} truncated`,
    report.dropped > 0 && yellow(`${formatCount(report.dropped)} dropped`),
  ];
  const parts = [
    plural(report.examples, "example"),
    `${plural(report.tokens, "token")}, ${share} supervised`,
    ...lost.filter((part) => part !== false),
    report.evaluationExamples > 0 && `${formatCount(report.evaluationExamples)} held out`,
  ];
  return [
    parts.filter((part) => part !== false).join("; "),
    ...(report.endTokenSupervised ? [] : [yellow("The end token is never supervised, so the model does not learn when to stop.")]),
  ];
};

/** `chosenReward` becomes `chosen reward 1.234`. */
export const metricTexts = (metrics: StepEnd["metrics"]): string[] =>
  Object.entries(metrics).map(
    ([name, value]) => `${name.replaceAll(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`)} ${formatFigure(value)}`,
  );

const memoryPlanned = ({ limit, plan }: MemoryPlanned): string[] => {
  const { weights, activations, optimiser, overhead, total } = plan.estimate;
  return [
    `about ${formatBytes(total)} of ${formatBytes(limit)} of memory: weights ${formatBytes(weights)}, activations ${formatBytes(activations)}, optimiser ${formatBytes(optimiser)}, process ${formatBytes(overhead)}`,
    `for that, updates of ${formatCount(plan.accumulate)} × ${plural(plan.batchSize, "row")}${plan.recompute ? ", layers computed again" : ""}${plan.keep ? ", norms and attention weights kept" : ""}, logits of ${formatCount(plan.chunk)} positions at once`,
  ];
};

const evalEnd = ({ step, loss, metrics, counts, best }: EvalEnd, { green }: Colors): string[] => [
  [
    `step ${formatCount(step)}`,
    `held-out loss ${formatFigure(loss)}`,
    ...metricTexts({ ...metrics, ...figuresOfCounts(counts) }),
    ...(best ? [green("best so far")] : []),
  ].join("  "),
];

const endings = { completed: "Finished", "max-steps": "Finished", "early-stopping": "Stopped early", interrupted: "Interrupted" } as const;

const runEnd = ({ reason, step, seconds, tokens, loss, best, output }: RunEnd, { green, yellow, bold }: Colors): string[] => {
  const title = bold((reason === "interrupted" ? yellow : green)(endings[reason]));
  return [
    `${title} after step ${formatCount(step)}: ${plural(tokens, "token")} in ${formatDuration(seconds)}, loss ${formatFigure(loss)}`,
    ...(best === undefined ? [] : [`best held-out loss ${formatFigure(best.loss)} at step ${formatCount(best.step)}`]),
    ...(output === undefined ? [] : [`written to ${output}`]),
  ];
};

/** The lines for an event; none for those that only move the view on. */
export const eventLines = (event: TrainEvent, colours: Colors): string[] => {
  switch (event.type) {
    case "run-start":
      return runStart(event, colours);
    case "data-ready":
      return dataReady(event, colours);
    case "memory-planned":
      return memoryPlanned(event);
    case "eval-end":
      return evalEnd(event, colours);
    case "checkpoint-saved":
      return [colours.dim(`step ${formatCount(event.step)}  saved ${event.path}${event.kind === "best" ? " (best)" : ""}`)];
    case "run-end":
      return runEnd(event, colours);
    default:
      return [];
  }
};

export interface StepFigures {
  readonly step: number;
  readonly loss: number;
  readonly metrics: StepEnd["metrics"];
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly tokensPerSecond: number;
  readonly memoryBytes: number;
}

// A line has room for the first metrics of a loss, which are the ones to watch.
const watched = 2;

/** The figures of an update as short texts. */
export const stepTexts = ({ loss, metrics, learningRate, gradientNorm, tokensPerSecond, memoryBytes }: StepFigures) => ({
  loss: `loss ${formatFigure(loss)}`,
  metrics: metricTexts(metrics).slice(0, watched),
  rate: `rate ${formatRate(learningRate)}`,
  gradient: `gradient ${formatFigure(gradientNorm)}`,
  speed: `${formatCount(tokensPerSecond)} tokens/s`,
  memory: formatBytes(memoryBytes),
});
