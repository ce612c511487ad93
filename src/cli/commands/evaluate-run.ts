/** @file What `lowrank evaluate` does. */
import { planBatches } from "../../data/index.ts";
import { confusionOf, evaluateLoss, f1, figuresOfCounts } from "../../evaluate/index.ts";
import { adaptedInference, baseInference } from "../../generate/index.ts";
import type { CommandContext } from "../context.ts";
import { metricTexts } from "../ui/event-text.ts";
import { formatCount, formatFigure } from "../ui/format.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { classTable } from "./class-table.ts";
import { againstBase, forgettingTable } from "./forgetting.ts";
import { labelsOfAdapters } from "./labels.ts";
import { lossOf } from "./loss-flags.ts";
import { openAdapters, openModel } from "./open-model.ts";
import { loadTrainingData } from "./training-data.ts";

/** The loss, what it is a mean of, and what else it reports. */
export interface EvaluateResult {
  readonly loss: number;
  readonly weight: number;
  readonly examples: number;
  readonly [metric: string]: unknown;
}

export const run = async (options: EvaluateOptions, context: CommandContext): Promise<EvaluateResult> => {
  const classifier = await labelsOfAdapters(options, context);
  const model = await openModel(options, context, classifier && { classifier });
  try {
    const adapters = await openAdapters(model, options.adapter, options, context);
    const given = { ...options, evalData: undefined, pack: false };
    const { backend, base } = model;
    const loss = await lossOf(given, base.model);
    const { kind } = loss;
    const { data, heldOut } = await loadTrainingData(given, model.tokenizer, loss);
    const { examples } = heldOut ?? data;
    const measured = examples.slice(0, options.evalLimit);
    const inference = adapters.length === 0 ? baseInference(base) : await adaptedInference(backend, base, adapters);
    const { batchSize, seqLength: maxLength } = options;
    const plans = planBatches(kind, { examples: measured, batchSize, maxLength, order: "sequential", seed: 0, epoch: 0 });
    const batches = plans.map((plan) => kind.collate(plan));
    const report = await evaluateLoss(backend, { base, inference, loss, batches });
    const metrics = { ...report.metrics, ...figuresOfCounts(report.counts) };
    const figures = [`loss ${formatFigure(report.loss)}`, ...metricTexts(metrics)].join(", ");
    context.out(`${figures} over ${formatCount(measured.length)} ${kind.noun}s`);
    const forgetting = await againstBase(model, inference, options, { loss, batches, withAdapter: report.loss });
    if (forgetting !== undefined) context.out(`\n${forgettingTable(forgetting, context)}`);
    const { confusion } = report.counts;
    const { labels } = base.model.head;
    if (confusion !== undefined) context.out(`\n${classTable(labels, confusion, context)}`);
    return {
      loss: report.loss,
      weight: report.weight,
      ...metrics,
      examples: measured.length,
      ...(forgetting && { againstBase: forgetting }),
      ...(confusion && {
        confusion: confusionOf(confusion),
        classes: f1(confusionOf(confusion)).map((scores, index) => ({ label: labels[index], ...scores })),
      }),
    };
  } finally {
    await model.close();
  }
};
