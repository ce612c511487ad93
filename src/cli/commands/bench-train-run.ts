/** @file What `lowrank bench train` does. */
import { benchTraining, type TrainingBench } from "../../evaluate/bench/index.ts";
import type { CommandContext } from "../context.ts";
import { formatBytes, formatCount, formatDuration, formatFigure } from "../ui/format.ts";
import { benchBase, benchTable } from "./bench-base.ts";
import type { BenchTrainOptions } from "./bench-train.ts";
import { memoryLimitOf, recomputeOf } from "./memory-flags.ts";
import { ortOptions } from "./open-model.ts";

const updateText = ({ batchSize, accumulate, recompute, keep }: TrainingBench["settings"]): string =>
  `${accumulate} × ${batchSize} rows${recompute === true ? ", layers computed again" : ""}${keep === true ? ", norms and attention weights kept" : ""}`;

export const run = async (options: BenchTrainOptions, context: CommandContext): Promise<TrainingBench & { readonly model: string }> => {
  const { batchSize, seqLength: sequenceLength, rank, steps, seed } = options;
  const settings = { batchSize, sequenceLength, rank, steps, seed, ...recomputeOf(options), ...memoryLimitOf(options) };
  const { name, base } = await benchBase(options, context);
  context.err(`${name}: ${steps} steps of ${batchSize} × ${sequenceLength} tokens, rank ${rank}`);
  const bench = await benchTraining(base, settings, ortOptions(options));
  const rows = [
    ["speed", `${formatFigure(bench.tokensPerSecond)} tokens/s`],
    ["step", formatDuration(bench.millisecondsPerStep / 1000)],
    ["session", formatDuration(bench.sessionSeconds)],
    ["first step after", formatDuration(bench.firstStepSeconds)],
    ["trained", `${formatCount(bench.trainable)} parameters`],
    ["loss", formatFigure(bench.loss)],
    ["update", updateText(bench.settings)],
    ["estimated memory", formatBytes(bench.estimate.total)],
  ] as const;
  context.out(benchTable(rows, bench, context));
  return { model: name, ...bench };
};
