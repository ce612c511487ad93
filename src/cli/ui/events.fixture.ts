/** @file Events of an invented run, for tests. */
import type { EvalEnd, RunEnd, RunStart, StepEnd, TrainEvent } from "../../train/events.ts";

export const runStart: RunStart = {
  type: "run-start",
  plan: {
    model: "SmolLM2-135M",
    method: "lora",
    loss: "next-token",
    trainable: 4_884_480,
    total: 139_399_680,
    steps: 100,
    epochs: 3,
    batchSize: 4,
    accumulate: 1,
    sequenceLength: 256,
    tokens: 102_400,
  },
};

export const dataReady: TrainEvent = {
  type: "data-ready",
  report: {
    examples: 1024,
    evaluationExamples: 64,
    tokens: 262_144,
    supervised: 112_722,
    truncated: 12,
    dropped: 3,
    endTokenSupervised: true,
  },
};

export const stepEnd = (step: number, loss = 2.5, seconds = 0.5): StepEnd => ({
  type: "step-end",
  step,
  epoch: (3 * step) / 100,
  loss,
  learningRate: 1.87e-4,
  gradientNorm: 0.8312,
  tokens: 1024,
  weight: 440,
  metrics: {},
  seconds,
  tokensPerSecond: 1024 / seconds,
  memoryBytes: 1.31e9,
});

export const evalEnd = (step: number, loss: number, best: boolean): EvalEnd => ({
  type: "eval-end",
  step,
  loss,
  weight: 9000,
  metrics: { perplexity: Math.exp(loss) },
  counts: {},
  best,
  seconds: 2,
});

export const runEnd: RunEnd = {
  type: "run-end",
  reason: "completed",
  step: 100,
  seconds: 51.2,
  tokens: 102_400,
  loss: 2.1349,
  best: { step: 80, loss: 2.2014 },
  output: "runs/tales",
};
