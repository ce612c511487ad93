/** @file The training loop: batches in, events out. It knows nothing about models, adapters, losses, data formats, or where checkpoints go. */
import { LowrankError, random } from "../util/index.ts";
import { clippingOf } from "./clip.ts";
import { noEvaluations, observeEvaluation, type EarlyStoppingRules, type EvaluationHistory } from "./early-stopping.ts";
import type { CheckpointSaved, EvalEnd, RunEndReason, TrainEvent } from "./events.ts";
import type { Metrics, TrainingBatch } from "./losses/loss.ts";
import { addSums, meansOf, type MetricSums } from "./metrics.ts";
import type { Optimiser } from "./optim/optimiser.ts";
import { meanLoss, type StepRunner } from "./programs.ts";
import { learningRateAt, type LearningRateSchedule } from "./schedule.ts";
import type { TrainingState } from "./checkpoint.ts";

/** The micro-batches of one pass over the data, by number, so that a resumed run takes up in the middle. */
export interface EpochBatches<Batch extends TrainingBatch = TrainingBatch> {
  readonly count: number;
  batch(index: number): Batch;
}

export interface TrainerOptions<Batch extends TrainingBatch = TrainingBatch> {
  /** Steps with gradients, and losses alone for held-out data. */
  readonly training: StepRunner<Batch>;
  readonly evaluation?: StepRunner<Batch>;
  /** What an evaluation reports of its mean loss and metrics; default the metrics. */
  readonly evaluationMetrics?: (loss: number, metrics: Metrics) => Metrics;
  /** Updated in place. */
  readonly parameters: Float32Array;
  readonly optimiser: Optimiser;
  readonly schedule: LearningRateSchedule;
  readonly epochs: number;
  /** The batches of a pass, which depend on nothing but its number. */
  readonly epochBatches: (epoch: number) => EpochBatches<Batch>;
  /** Micro-batches per update; the loss is a mean over the weights of all of them. */
  readonly accumulate: number;
  /** Largest norm of the gradient; Infinity leaves it alone. */
  readonly maxGradientNorm: number;
  readonly seed: number;
  /** Held-out batches; none without `evaluation`. */
  readonly heldOut: readonly Batch[];
  /** Updates between evaluations, and between checkpoints; 0 for only at the end. */
  readonly evalEvery: number;
  readonly saveEvery: number;
  readonly earlyStopping: EarlyStoppingRules;
  /** Keeps a checkpoint and returns its path. */
  readonly save: (state: TrainingState, isBest: boolean) => Promise<string>;
  readonly resume?: TrainingState;
  /** Ends the run after the update in hand, with a checkpoint. */
  readonly signal?: AbortSignal;
}

interface Position {
  readonly epoch: number;
  readonly index: number;
}

/** The first rows of a batch, by file and line. */
const placesOf = ({ sources = [] }: TrainingBatch): string =>
  sources.slice(0, 3).join(", ") + (sources.length > 3 ? ` and ${sources.length - 3} more` : "");

const diverged = (what: string, step: number, updates: number, where?: string): LowrankError =>
  new LowrankError("training-diverged", `${what} at step ${step} is not a finite number.`, {
    ...(where && { where }),
    fix:
      updates === 0
        ? "Nothing was trained yet, so check the base (lowrank inspect shows its norms) and the data."
        : "Start a new run with a lower --learning-rate or a smaller --max-grad-norm; what was saved before is intact.",
  });

/** Yields the micro-batches of one update. An update never reaches into the next pass, so the last one of a pass may be smaller. */
function* microBatches<Batch extends TrainingBatch>(
  { epochBatches, accumulate }: Pick<TrainerOptions<Batch>, "epochBatches" | "accumulate">,
  { epoch, index }: Position,
): Generator<Batch> {
  const { count, batch } = epochBatches(epoch);
  for (let offset = index; offset < Math.min(index + accumulate, count); offset++) yield batch(offset);
}

const advance = ({ epochBatches, accumulate }: Pick<TrainerOptions, "epochBatches" | "accumulate">, { epoch, index }: Position): Position =>
  index + accumulate < epochBatches(epoch).count ? { epoch, index: index + accumulate } : { epoch: epoch + 1, index: 0 };

interface Update {
  readonly loss: number;
  readonly gradientNorm: number;
  readonly tokens: number;
  readonly weight: number;
  readonly metrics: Metrics;
}

const addInto = (sum: Float32Array, term: Float32Array): void => {
  for (let index = 0; index < sum.length; index++) sum[index] += term[index];
};

/** Memory of gradients, used again from update to update. */
type GradientMemory = Float32Array[];

/** One update: gradients summed over micro-batches, divided by all their weights, clipped, applied. */
async function* update<Batch extends TrainingBatch>(
  options: TrainerOptions<Batch>,
  position: Position,
  step: number,
  memory: GradientMemory,
): AsyncGenerator<TrainEvent, Update> {
  const { training, parameters, optimiser, schedule, maxGradientNorm, seed } = options;
  let gradient: Float32Array | undefined;
  let [loss, weight, tokens, micro] = [0, 0, 0, 0];
  let metrics: MetricSums = {};
  for (const batch of microBatches(options, position)) {
    yield* prepared(training, batch);
    const result = await training.run(batch, parameters, random(seed, step).integer(2 ** 31), micro++, memory.pop());
    if (!Number.isFinite(result.loss)) throw diverged("The loss", step, step - 1, placesOf(batch));
    if (gradient === undefined) gradient = result.gradient;
    else {
      addInto(gradient, result.gradient);
      memory.push(result.gradient);
    }
    loss += result.loss;
    weight += result.weight;
    tokens += batch.tokens;
    metrics = addSums(metrics, result.metrics);
  }
  const { norm: gradientNorm, factor } = clippingOf(gradient!, maxGradientNorm, weight);
  if (!Number.isFinite(gradientNorm)) {
    const [first] = microBatches(options, position);
    throw diverged("The gradient", step, step - 1, placesOf(first));
  }
  optimiser.update(parameters, gradient!, learningRateAt(schedule, step - 1), factor);
  memory.push(gradient!);
  return { loss: loss / weight, gradientNorm, tokens, weight, metrics: meansOf(metrics) };
}

async function* prepared<Batch extends TrainingBatch>(runner: StepRunner<Batch>, batch: Batch): AsyncGenerator<TrainEvent> {
  if (runner.isReady(batch)) return;
  const { B, T } = runner.shapeOf(batch);
  const shape = [B, T] as const;
  yield { type: "compile-start", shape };
  const start = performance.now();
  await runner.prepare(batch);
  yield { type: "compile-end", shape, seconds: (performance.now() - start) / 1000 };
}

const evaluate = async <Batch extends TrainingBatch>(
  { evaluation, evaluationMetrics = (_, metrics) => metrics, heldOut, parameters }: TrainerOptions<Batch>,
  step: number,
  history: EvaluationHistory,
): Promise<EvalEnd> => {
  const start = performance.now();
  const { loss, weight, metrics, counts } = await meanLoss(evaluation!, heldOut, parameters);
  if (!Number.isFinite(loss)) throw diverged("The held-out loss", step, step);
  const best = history.best === undefined || loss < history.best.loss;
  const seconds = (performance.now() - start) / 1000;
  return { type: "eval-end", step, loss, weight, metrics: evaluationMetrics(loss, meansOf(metrics)), counts, best, seconds };
};

/**
 * Trains until the schedule's last step, the last pass, early stopping or the signal. The parameters that it leaves are those of the last step.
 * A loss, gradient or held-out loss that is no number is `training-diverged`: nothing of that step is kept, and what was kept stays.
 */
export async function* train<Batch extends TrainingBatch>(options: TrainerOptions<Batch>): AsyncGenerator<TrainEvent> {
  const { parameters, optimiser, schedule, epochs, evalEvery, saveEvery, earlyStopping, seed, signal, resume } = options;
  const evaluates = options.evaluation !== undefined && options.heldOut.length > 0;
  const began = performance.now();
  let step = 0;
  let position: Position = { epoch: 0, index: 0 };
  let history = noEvaluations;
  let tokens = 0;
  let loss = Number.NaN;
  if (resume !== undefined) {
    parameters.set(resume.parameters);
    optimiser.restore(resume.optimiser);
    ({ step, tokens, evaluations: history } = resume.progress);
    position = { epoch: resume.progress.epoch, index: resume.progress.position };
  } else if (evaluates) {
    const before = await evaluate(options, 0, history);
    history = observeEvaluation(history, before, earlyStopping).history;
    yield before;
  }

  const save = async (isBest: boolean): Promise<CheckpointSaved> => {
    const progress = {
      step,
      epoch: position.epoch,
      position: position.index,
      tokens,
      random: random(seed, step).state(),
      evaluations: history,
    };
    const path = await options.save({ progress, parameters, optimiser: optimiser.state() }, isBest);
    return { type: "checkpoint-saved", step, path, kind: isBest ? "best" : "last" };
  };

  const ended = (): RunEndReason | undefined => {
    if (position.epoch >= epochs) return "completed";
    if (step >= schedule.totalSteps) return "max-steps";
    return history.stale >= earlyStopping.patience ? "early-stopping" : undefined;
  };

  // A checkpoint may be that of a run's very end.
  const memory: GradientMemory = [];
  let reason = ended();
  while (reason === undefined) {
    const start = performance.now();
    step += 1;
    const result = yield* update(options, position, step, memory);
    const seconds = (performance.now() - start) / 1000;
    position = advance(options, position);
    tokens += result.tokens;
    loss = result.loss;
    const { count } = options.epochBatches(Math.min(position.epoch, epochs - 1));
    yield {
      type: "step-end",
      step,
      epoch: position.epoch + position.index / count,
      ...result,
      learningRate: learningRateAt(schedule, step - 1),
      seconds,
      tokensPerSecond: result.tokens / seconds,
      memoryBytes: process.memoryUsage.rss(),
    };

    reason = ended();
    let best = false;
    if (evaluates && (reason !== undefined || (evalEvery > 0 && step % evalEvery === 0))) {
      const evaluation = await evaluate(options, step, history);
      yield evaluation;
      best = evaluation.best;
      history = observeEvaluation(history, evaluation, earlyStopping).history;
      reason ??= ended();
    }
    if (signal?.aborted === true) reason ??= "interrupted";
    if (best || reason !== undefined || (saveEvery > 0 && step % saveEvery === 0)) yield await save(best);
  }
  yield {
    type: "run-end",
    reason,
    step,
    seconds: (performance.now() - began) / 1000,
    tokens,
    loss,
    ...(history.best && { best: history.best }),
  };
}
