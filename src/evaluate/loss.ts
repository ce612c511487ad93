/** @file Mean loss of a model, with or without adapters, over batches, and what else the loss reports. It knows no loss and nothing about data formats. */
import { baseInference, type Inference } from "../generate/index.ts";
import { frozenModules, type Base } from "../models/index.ts";
import { compileLenient, type Backend, type Executable, type Feed } from "../runtime/index.ts";
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

/** A batch, and the model as it runs over that batch. */
export interface BatchRun<Batch> {
  readonly batch: Batch;
  readonly model: Pick<Inference, "model" | "modules">;
  readonly feeds: Readonly<Record<string, Feed>>;
  /** Tells models apart whose programs differ. */
  readonly key: string;
}

/** What batches add up to. */
export interface LossSums {
  readonly sum: number;
  readonly weight: number;
  readonly metrics: MetricSums;
  readonly counts: Counts;
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

/** Adds up a loss over batches; batches of one size under one key share a program, which is gone afterwards. */
export const sumLosses = async <Batch extends TrainingBatch>(
  backend: Backend,
  base: Base,
  loss: Loss<unknown, Batch>,
  runs: Iterable<BatchRun<Batch>> | AsyncIterable<BatchRun<Batch>>,
): Promise<LossSums> => {
  const compiled = new Map<string, Executable>();
  let sums: LossSums = { sum: 0, weight: 0, metrics: {}, counts: {} };
  for await (const { batch, model, feeds, key } of runs) {
    const shape = loss.shapeOf(batch);
    const name = [...Object.values(shape), key].join("×");
    const context = { model: model.model, modules: model.modules(), reference: () => frozenModules(base) };
    const executable = compiled.get(name) ?? (await compileLenient(backend, evaluationProgram(loss, context, shape)));
    compiled.set(name, executable);
    const result = (await executable.run({ ...feeds, ...loss.feeds(batch, shape) })) as Record<string, HostTensor>;
    const { loss: sum, weight } = result;
    sums = addLossSums(sums, {
      sum: Number(sum.data[0]),
      weight: Number(weight.data[0]),
      metrics: metricSums(result),
      counts: countsOf(result),
    });
  }
  for (const executable of compiled.values()) await executable.dispose();
  return sums;
};

export const addLossSums = (a: LossSums, b: LossSums): LossSums => ({
  sum: a.sum + b.sum,
  weight: a.weight + b.weight,
  metrics: addSums(a.metrics, b.metrics),
  counts: addCounts(a.counts, b.counts),
});

/** The means of what was added up; nothing that the loss counts is `invalid-data`. */
export const reportOf = (
  { evaluationMetrics }: Pick<Loss, "evaluationMetrics">,
  { sum, weight, metrics, counts }: LossSums,
): LossReport => {
  if (weight === 0)
    throw new LowrankError("invalid-data", "There is nothing to measure the loss on.", {
      fix: "Give data in which something is supervised.",
    });
  const means = meansOf(metrics);
  return { loss: sum / weight, weight, metrics: evaluationMetrics?.(sum / weight, means) ?? means, counts };
};

export interface LossOptions<Batch extends TrainingBatch> {
  readonly base: Base;
  /** The base made ready to run; default the base alone. */
  readonly inference?: Inference;
  readonly loss: Loss<unknown, Batch>;
  readonly batches: Iterable<Batch>;
  /** Is told how many batches are done. */
  readonly onBatch?: (done: number) => void;
}

/** Measures a loss over batches. Batches without anything that it counts are `invalid-data`. */
export const evaluateLoss = async <Batch extends TrainingBatch>(backend: Backend, options: LossOptions<Batch>): Promise<LossReport> => {
  const { base, inference = baseInference(base), loss, batches, onBatch } = options;
  const runs = function* (): Generator<BatchRun<Batch>> {
    let done = 0;
    for (const batch of batches) {
      yield { batch, model: inference, feeds: inference.feeds, key: "" };
      onBatch?.(++done);
    }
  };
  return reportOf(loss, await sumLosses(backend, base, loss, runs()));
};
