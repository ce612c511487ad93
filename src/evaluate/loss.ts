/** @file Mean loss of a model, with or without adapters, over batches, and what else the loss reports. It knows no loss and nothing about data formats. */
import { baseInference, type Inference } from "../generate/index.ts";
import { frozenModules, type Base } from "../models/index.ts";
import { compileLenient, type Backend, type Executable } from "../runtime/index.ts";
import {
  addCounts,
  addSums,
  countsOf,
  evaluationProgram,
  meansOf,
  metricSums,
  type Counts,
  type Loss,
  type Metrics,
  type MetricSums,
  type TrainingBatch,
} from "../train/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";

export interface LossOptions<Batch extends TrainingBatch> {
  readonly base: Base;
  /** The base made ready to run; default the base alone. */
  readonly inference?: Inference;
  readonly loss: Loss<unknown, Batch>;
  readonly batches: Iterable<Batch>;
  /** Is told how many batches are done. */
  readonly onBatch?: (done: number) => void;
}

export interface LossReport {
  /** Mean over what the loss counts. */
  readonly loss: number;
  /** What it is a mean of: the number of labels, rows or pairs. */
  readonly weight: number;
  /** What else the loss reports, such as its perplexity. */
  readonly metrics: Metrics;
  /** What it counts, such as the cells of a confusion matrix row by row. */
  readonly counts: Counts;
}

/** Measures a loss over batches. Batches without anything that it counts are `invalid-data`. */
export const evaluateLoss = async <Batch extends TrainingBatch>(backend: Backend, options: LossOptions<Batch>): Promise<LossReport> => {
  const { base, inference = baseInference(base), loss, batches, onBatch } = options;
  const compiled = new Map<string, Executable>();
  let metrics: MetricSums = {};
  let counts: Counts = {};
  let [sum, weight, done] = [0, 0, 0];
  for (const batch of batches) {
    const shape = loss.shapeOf(batch);
    const key = Object.values(shape).join("×");
    const context = { model: inference.model, modules: inference.modules(), reference: () => frozenModules(base) };
    const executable = compiled.get(key) ?? (await compileLenient(backend, evaluationProgram(loss, context, shape)));
    compiled.set(key, executable);
    const result = (await executable.run({ ...inference.feeds, ...loss.feeds(batch, shape) })) as Record<string, HostTensor>;
    sum += Number(result["loss"].data[0]);
    weight += Number(result["weight"].data[0]);
    metrics = addSums(metrics, metricSums(result));
    counts = addCounts(counts, countsOf(result));
    onBatch?.(++done);
  }
  for (const executable of compiled.values()) await executable.dispose();
  if (weight === 0)
    throw new LowrankError("invalid-data", "There is nothing to measure the loss on.", {
      fix: "Give data in which something is supervised.",
    });
  const means = meansOf(metrics);
  return { loss: sum / weight, weight, metrics: loss.evaluationMetrics?.(sum / weight, means) ?? means, counts };
};
