/** @file What `lowrank evaluate` does. */
import { materialise, planEpoch } from "../../data/index.ts";
import { evaluateLoss, type LossReport } from "../../evaluate/index.ts";
import { adaptedInference, baseInference } from "../../generate/index.ts";
import type { CommandContext } from "../context.ts";
import { formatCount, formatFigure } from "../ui/format.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { openAdapters, openModel } from "./open-model.ts";
import { loadTrainingData } from "./training-data.ts";

export const run = async (options: EvaluateOptions, context: CommandContext): Promise<LossReport & { examples: number }> => {
  const model = await openModel(options, context);
  try {
    const adapters = await openAdapters(model, options.adapter, options, context);
    const { data, heldOut } = await loadTrainingData({ ...options, evalData: undefined, pack: false }, model.tokenizer);
    const { examples } = heldOut ?? data;
    const measured = examples.slice(0, options.evalLimit);
    const { backend, base } = model;
    const inference = adapters.length === 0 ? baseInference(base) : await adaptedInference(backend, base, adapters);
    const plans = planEpoch({
      examples: measured,
      batchSize: options.batchSize,
      maxLength: options.seqLength,
      order: "sequential",
      seed: 0,
      epoch: 0,
    });
    const report = await evaluateLoss(backend, inference, plans.map(materialise));
    context.out(
      `loss ${formatFigure(report.loss)}, perplexity ${formatFigure(report.perplexity)} over ${formatCount(report.tokens)} tokens of ${formatCount(measured.length)} examples`,
    );
    return { ...report, examples: measured.length };
  } finally {
    await model.close();
  }
};
