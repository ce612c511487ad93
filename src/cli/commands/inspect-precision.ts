/** @file What `lowrank inspect --precision` does: what each form of the base's weights costs on the user's data, and which one to take. */
import { planBatches } from "../../data/index.ts";
import { measurePrecisions, recommendedPrecision, type MeasuredPrecision } from "../../evaluate/index.ts";
import { loraConfig, planAdapter, startAdapter, type StoredAdapter } from "../../lora/index.ts";
import { openBase } from "../../models/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { formatBytes, formatDuration, formatFigure, formatPercent } from "../ui/format.ts";
import { growingTable } from "./growing-table.ts";
import type { InspectOptions } from "./inspect.ts";
import { labelsOfAdapters } from "./labels.ts";
import { lossOf } from "./loss-flags.ts";
import { openAdapters, openModel } from "./open-model.ts";
import { loadTrainingData } from "./training-data.ts";

export interface PrecisionReport {
  readonly kind: "precision";
  readonly model: string;
  readonly precisions: readonly MeasuredPrecision[];
  readonly recommended: MeasuredPrecision["precision"];
  readonly reason: string;
}

const columns = [
  { title: "base" },
  { title: "logits, rms", align: "right", optional: true },
  { title: "largest", align: "right", optional: true },
  { title: "same top", align: "right" },
  { title: "loss", align: "right" },
  { title: "drift", align: "right" },
  { title: "gradient", align: "right" },
  { title: "step", align: "right" },
  { title: "weights", align: "right" },
  { title: "forward alone", align: "right", optional: true },
] as const;

const signed = (value: number): string => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

const cells = ({ precision, logits, loss, gradientCosine, stepSeconds, bytes }: MeasuredPrecision, exact: MeasuredPrecision): string[] => [
  precision,
  formatFigure(logits.rms),
  formatFigure(logits.largest),
  formatPercent(logits.agreement),
  formatFigure(loss),
  signed(loss - exact.loss),
  gradientCosine.toFixed(4),
  formatDuration(stepSeconds),
  formatBytes(bytes.training),
  formatBytes(bytes.inference),
];

/** Measures the model that the positional argument names, under its adapter or a new one. */
export const inspectPrecision = async (options: InspectOptions, context: CommandContext): Promise<PrecisionReport> => {
  const { directory, data: path, batchSize, seqLength } = options;
  if (path === undefined)
    throw new LowrankError("invalid-argument", "There is nothing to measure precisions on.", {
      fix: "Name some of your data with --data.",
    });
  const flags = { ...options, model: directory };
  const references = options.adapter === undefined ? [] : [options.adapter];
  const classifier = await labelsOfAdapters({ ...flags, adapter: references }, context);
  const model = await openModel(flags, context, classifier && { classifier });
  const { base, backend, tokenizer } = model;
  try {
    const given = { ...options, data: path, evalData: undefined, evalLimit: undefined, holdOut: 0, pack: false };
    const loss = await lossOf(given, base.model);
    const { data } = await loadTrainingData(given, tokenizer, loss);
    const examples = data.examples.slice(0, batchSize * options.batches);
    const plans = planBatches(loss.kind, { examples, batchSize, maxLength: seqLength, order: "sequential", seed: 0, epoch: 0 });
    const fresh = (): Promise<StoredAdapter> => startAdapter(planAdapter(base.model, loraConfig({ lora_alpha: 16 })), base, 0);
    const [stored = await fresh()] = await openAdapters(model, references, options, context);
    const measured: MeasuredPrecision[] = [];
    const table = growingTable(columns, context);
    for await (const one of measurePrecisions(backend, {
      open: (precision) => {
        table.wait(`measuring ${precision ?? "fp32"} …`);
        return openBase(base.directory, { ...(classifier && { classifier }), ...(precision && { precision }) });
      },
      stored,
      loss,
      batches: plans.map((plan) => loss.kind.collate(plan)),
    })) {
      measured.push(one);
      table.add(cells(one, measured[0]));
    }
    table.close();
    const { precision: recommended, reason } = recommendedPrecision(measured);
    context.out(`\nRecommended: --base-precision ${recommended}; ${reason}.`);
    return { kind: "precision", model: base.directory, precisions: measured, recommended, reason };
  } finally {
    await model.close();
  }
};
