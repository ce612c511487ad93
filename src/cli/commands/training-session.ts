/** @file What `train` and `pretrain` do alike: settings from flags, the view, Ctrl-C, the closing words. It knows nothing about what is trained. */
import type { z } from "zod";
import { run, type RunOptions, type RunSettings, type TrainEvent } from "../../train/index.ts";
import { peakMemory } from "../../evaluate/bench/machine.ts";
import type { CommandContext } from "../context.ts";
import { formatBytes, formatPercent } from "../ui/format.ts";
import { trainView } from "../ui/train-view.ts";
import type { DataOptions } from "./training-data.ts";
import type { loopOptions } from "./train-options.ts";

type LoopOptions = z.output<z.ZodObject<typeof loopOptions>>;

/** The run's settings as the flags give them. */
export const settingsOf = (options: LoopOptions & DataOptions & { learningRate: number; loraPlusRatio?: number }): RunSettings => ({
  epochs: options.epochs,
  ...(options.maxSteps !== undefined && { maxSteps: options.maxSteps }),
  batchSize: options.batchSize,
  accumulate: options.accumulate,
  sequenceLength: options.seqLength,
  pack: options.pack,
  optimiser: options.optimiser,
  learningRate: options.learningRate,
  schedule: options.schedule,
  warmupSteps: options.warmupSteps,
  weightDecay: options.weightDecay,
  loraPlusRatio: options.loraPlusRatio ?? 1,
  maxGradientNorm: options.maxGradNorm,
  evalEvery: options.evalEvery,
  saveEvery: options.saveEvery,
  patience: options.patience,
  seed: options.seed,
});

export interface TrainingResult {
  readonly output: string;
  readonly reason: string;
  readonly steps: number;
  readonly trainable: number;
  readonly total: number;
  /** Mean training loss of the last update. */
  readonly loss: number;
  /** Held-out losses: before the first update, after the last, and the lowest. */
  readonly evaluation: { readonly first: number; readonly last: number; readonly best: number } | undefined;
  readonly seconds: number;
  readonly tokens: number;
  /** Bytes where a limit was given: that limit, the estimate, and the peak. */
  readonly memory?: { readonly limit: number; readonly estimated: number; readonly peak: number };
  /** Under what name the library has the result, where it was asked to keep it. */
  readonly published?: { readonly name: string; readonly version: number; readonly digest: string };
}

/** Ctrl-C once: the run ends after the step in hand, with a checkpoint. Twice: the process ends as it would. */
const interruptible = (context: CommandContext): { readonly signal: AbortSignal; release(): void } => {
  const controller = new AbortController();
  const stop = (): void => {
    context.err("Stopping after this step, with a checkpoint. Press Ctrl-C again to stop at once.");
    controller.abort();
    process.off("SIGINT", stop);
  };
  process.on("SIGINT", stop);
  process.once("SIGTERM", stop);
  return {
    signal: controller.signal,
    release: () => {
      process.off("SIGINT", stop);
      process.off("SIGTERM", stop);
    },
  };
};

const summarise = (events: readonly TrainEvent[], output: string): TrainingResult => {
  const ofType = <Type extends TrainEvent["type"]>(type: Type) =>
    events.filter((event): event is Extract<TrainEvent, { type: Type }> => event.type === type);
  const [{ plan }] = ofType("run-start");
  const [end] = ofType("run-end");
  const [planned] = ofType("memory-planned");
  const losses = ofType("eval-end").map(({ loss }) => loss);
  return {
    output,
    reason: end.reason,
    steps: end.step,
    trainable: plan.trainable,
    total: plan.total,
    loss: end.loss,
    evaluation: losses.length === 0 ? undefined : { first: losses[0], last: losses[losses.length - 1], best: Math.min(...losses) },
    seconds: end.seconds,
    tokens: end.tokens,
    ...(planned && { memory: { limit: planned.limit, estimated: planned.plan.estimate.total, peak: peakMemory() } }),
  };
};

/** How the estimate compares with the truth. */
const memoryText = ({ estimated, peak }: NonNullable<TrainingResult["memory"]>): string =>
  `Peak memory ${formatBytes(peak)}, ${formatPercent(Math.abs(peak / estimated - 1))} ${peak < estimated ? "below" : "above"} the estimate.`;

/** Runs it under the terminal's view; `again` is how the user continues an interrupted run. */
export const runSession = async <Example>(
  options: Omit<RunOptions<Example>, "signal">,
  context: CommandContext,
  again: string,
): Promise<TrainingResult> => {
  const view = trainView(context);
  const { signal, release } = interruptible(context);
  const events: TrainEvent[] = [];
  try {
    for await (const event of run({ ...options, signal })) {
      view.listen(event);
      if (event.type !== "step-end") events.push(event);
    }
  } finally {
    view.close();
    release();
  }
  const result = summarise(events, options.output);
  if (result.memory !== undefined) context.out(memoryText(result.memory));
  if (result.reason === "interrupted") {
    context.exitCode = 130;
    context.err(`Stopped at step ${result.steps}, with a checkpoint. To go on: ${again}`);
  }
  return result;
};
