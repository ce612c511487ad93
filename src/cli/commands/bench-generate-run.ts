/** @file What `lowrank bench generate` does. */
import { benchGeneration, type GenerationBench } from "../../evaluate/bench/index.ts";
import type { CommandContext } from "../context.ts";
import { formatDuration, formatFigure } from "../ui/format.ts";
import { benchBase, benchTable } from "./bench-base.ts";
import type { BenchGenerateOptions } from "./bench-generate.ts";
import { ortOptions } from "./open-model.ts";

export const run = async (
  options: BenchGenerateOptions,
  context: CommandContext,
): Promise<GenerationBench & { readonly model: string }> => {
  const { batchSize, past, tokens, adapter, rank, seed } = options;
  const { name, base } = await benchBase(options, context);
  context.err(
    `${name}: ${tokens} tokens after a prompt of ${past}${batchSize > 1 ? ` in each of ${batchSize} texts` : ""}, adapter ${adapter}`,
  );
  const bench = await benchGeneration(base, { batchSize, past, tokens, adapter, rank, seed }, ortOptions(options));
  const rows = [
    ["prompt", `${formatFigure(bench.prefillTokensPerSecond)} tokens/s`],
    ["generation", `${formatFigure(bench.decodeTokensPerSecond)} tokens/s`],
    ["token", formatDuration(bench.millisecondsPerToken / 1000)],
    ["first token after", formatDuration(bench.firstTokenSeconds)],
  ] as const;
  context.out(benchTable(rows, bench, context));
  return { model: name, ...bench };
};
