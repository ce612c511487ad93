/** @file What `lowrank evaluate` does. */
import { planBatches } from "../../data/index.ts";
import { confusionOf, evaluateLoss, f1, figuresOfCounts, type LossReport } from "../../evaluate/index.ts";
import { adaptedInference, baseInference } from "../../generate/index.ts";
import type { LanguageModel } from "../../language-model.ts";
import type { Loss } from "../../train/index.ts";
import type { CommandContext } from "../context.ts";
import { metricTexts } from "../ui/event-text.ts";
import { formatCount, formatFigure } from "../ui/format.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { classTable } from "./class-table.ts";
import { adaptedRows, measureRows } from "./evaluate-rows.ts";
import { againstBase, forgettingTable, type Forgetting } from "./forgetting.ts";
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

/** Measures examples, all with the adapters that `--adapter` names. */
const measureAll = async (
  model: LanguageModel,
  { loss, examples }: { readonly loss: Loss; readonly examples: readonly unknown[] },
  options: EvaluateOptions,
  context: CommandContext,
): Promise<{ report: LossReport; forgetting: Forgetting | undefined }> => {
  const { base, backend } = model;
  const adapters = await openAdapters(model, options.adapter, options, context);
  const inference = adapters.length === 0 ? baseInference(base) : await adaptedInference(backend, base, adapters);
  const { batchSize, seqLength: maxLength } = options;
  const plans = planBatches(loss.kind, { examples, batchSize, maxLength, order: "sequential", seed: 0, epoch: 0 });
  const batches = plans.map((plan) => loss.kind.collate(plan));
  const report = await evaluateLoss(backend, { base, inference, loss, batches });
  return { report, forgetting: await againstBase(model, inference, options, { loss, batches, withAdapter: report.loss }) };
};

export const run = async (options: EvaluateOptions, context: CommandContext): Promise<EvaluateResult> => {
  const rows = await adaptedRows(options);
  const classifier = await labelsOfAdapters({ ...options, adapter: rows?.references ?? options.adapter }, context);
  const model = await openModel(options, context, classifier && { classifier });
  try {
    const given = { ...options, evalData: undefined, pack: false };
    const { base } = model;
    const loss = await lossOf(given, base.model);
    const { kind } = loss;
    const { data, heldOut } = await loadTrainingData(given, model.tokenizer, loss);
    const { examples } = heldOut ?? data;
    const measured = examples.slice(0, options.evalLimit);
    const { report, forgetting } =
      rows === undefined
        ? await measureAll(model, { loss, examples: measured }, options, context)
        : { report: await measureRows(model, rows, { loss, examples: measured }, options, context), forgetting: undefined };
    const metrics = { ...report.metrics, ...figuresOfCounts(report.counts) };
    const figures = [`loss ${formatFigure(report.loss)}`, ...metricTexts(metrics)].join(", ");
    context.out(`${figures} over ${formatCount(measured.length)} ${kind.noun}s`);
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
