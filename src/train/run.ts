/** @file One training run from end to end: what is trained, on which batches, with which checkpoints and log. It knows nothing about flags or terminals. */
import { join } from "node:path";
import { fingerprint, planBatches, type Dataset, type EpochOptions } from "../data/index.ts";
import { copyCompanions, makeFolder, tensorSources, writeCheckpoint } from "../formats/index.ts";
import { saveAdapter, type StoredAdapter } from "../lora/index.ts";
import { storedTensors, storedValues, type Base, type Model } from "../models/index.ts";
import { enoughTokensOf, viewOf } from "../nn/index.ts";
import type { Backend } from "../runtime/index.ts";
import { LowrankError, messageOf, sizeOf, type HostTensor } from "../util/index.ts";
import { linkedCheckpoint, listCheckpoints } from "./checkpoint-folders.ts";
import { loadTrainingState, saveTrainingState } from "./checkpoint.ts";
import type { DataSummary, RunPlan, TrainEvent } from "./events.ts";
import { openJsonlLog } from "./jsonl-log.ts";
import { adamw } from "./optim/adamw.ts";
import type { Optimiser } from "./optim/optimiser.ts";
import { sgd } from "./optim/sgd.ts";
import type { Loss, MemorySettings, StepShape, TrainingBatch } from "./losses/loss.ts";
import { planMemory, programShapes, settingsIn, type MemoryPlan } from "./memory-plan.ts";
import { cutIntoPasses } from "./passes.ts";
import { lossRunner, trainingRunner } from "./programs.ts";
import type { LearningRateSchedule } from "./schedule.ts";
import { memorySettings } from "./step.ts";
import { freshParameters, trainableAdapter, trainableModel, type Find, type Trainable } from "./trainable.ts";
import { train, type EpochBatches } from "./trainer.ts";

/** What is trained: an adapter beside a base, all of a base, or a new model of a configuration. */
export type Subject =
  | { readonly method: "lora"; readonly base: Base; readonly stored: StoredAdapter }
  | { readonly method: "full"; readonly base: Base }
  | { readonly method: "pretrain"; readonly model: Model; readonly directory: string };

export interface RunSettings extends MemorySettings {
  readonly epochs: number;
  /** Updates at most; the schedule ends with the run. Default: all epochs. */
  readonly maxSteps?: number;
  readonly batchSize: number;
  readonly accumulate: number;
  /** Tokens per row at most. */
  readonly sequenceLength: number;
  readonly pack: boolean;
  readonly optimiser: "adamw" | "sgd";
  readonly learningRate: number;
  readonly schedule: LearningRateSchedule["schedule"];
  readonly warmupSteps: number;
  readonly weightDecay: number;
  /** Learning rate of B over that of A (LoRA+); unless it is 1, factors of embeddings get a peak of 1e-6. */
  readonly loraPlusRatio: number;
  /** Largest norm of the gradient; 0 leaves it alone. */
  readonly maxGradientNorm: number;
  /** Updates between evaluations, and between checkpoints; 0: only at the end. */
  readonly evalEvery: number;
  readonly saveEvery: number;
  /** Evaluations without improvement that end the run; 0: never. */
  readonly patience: number;
  readonly seed: number;
}

export interface RunOptions<Example = unknown> {
  readonly backend: Backend;
  readonly subject: Subject;
  readonly settings: RunSettings;
  readonly loss: Loss<Example>;
  readonly data: Dataset<Example>;
  readonly heldOut?: Dataset<Example>;
  /** Folder for the result, the checkpoints and `log.jsonl`. */
  readonly output: string;
  /** Bytes that the process may take: batches are cut into smaller ones, layers computed again and logits taken in smaller chunks, as far as that takes. */
  readonly memoryLimit?: number;
  /** Continues from the last checkpoint in `output`. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
}

const modelOf = (subject: Subject): Model => (subject.method === "pretrain" ? subject.model : subject.base.model);

const trainableOf = (subject: Subject): Trainable =>
  subject.method === "lora" ? trainableAdapter(subject.base.model, subject.stored) : trainableModel(modelOf(subject));

const startOf = async (subject: Subject, { layout }: Trainable, seed: number): Promise<Float32Array> => {
  if (subject.method === "pretrain") return freshParameters(subject.model, seed);
  if (subject.method === "lora") return subject.stored.parameters;
  const flat = new Float32Array(layout.size);
  for (const slot of layout.slots) viewOf(flat, slot).set(await storedValues(subject.base, slot.name));
  return flat;
};

/** Writes the result as its users read it: an adapter in PEFT's form, or a checkpoint with its tokenizer. */
const saveResult = async (subject: Subject, { layout }: Trainable, parameters: Float32Array, folder: string): Promise<void> => {
  if (subject.method === "lora") {
    const { base, stored } = subject;
    return saveAdapter(folder, base.model, { ...stored, parameters }, base.digest);
  }
  const directory = subject.method === "pretrain" ? subject.directory : subject.base.directory;
  const tensors = new Map<string, HostTensor>(
    layout.slots.map((slot) => [slot.name, { dtype: "f32", shape: slot.shape, data: viewOf(parameters, slot) }]),
  );
  await copyCompanions(directory, folder);
  await writeCheckpoint(folder, {
    config: { ...modelOf(subject).config, torch_dtype: "float32", dtype: "float32" },
    spelledAs: directory,
    tensors: tensorSources(tensors),
  });
};

/** The learning rate that LoRA+ gives the factors of embeddings, whatever the others have; PEFT's. */
const embeddingRate = 1e-6;

const optimiserOf = ({ layout, adjust }: Trainable, { optimiser, weightDecay, loraPlusRatio, learningRate }: RunSettings): Optimiser => {
  const options = { weightDecay, loraPlusRatio, embeddingRatio: loraPlusRatio === 1 ? 1 : embeddingRate / learningRate };
  const rule = optimiser === "sgd" ? sgd(layout, options) : adamw(layout, options);
  return adjust?.(rule) ?? rule;
};

/** The subject, once the number of updates is known. */
const scheduled = (subject: Subject, steps: number): Subject => {
  if (subject.method !== "lora") return subject;
  const { adapter } = subject.stored;
  const config = adapter.variant.scheduled?.(adapter.config, steps) ?? adapter.config;
  return { ...subject, stored: { ...subject.stored, adapter: { ...adapter, config } } };
};

const epochsOf = <Example>({ loss: { kind }, data, settings }: RunOptions<Example>): ((epoch: number) => EpochBatches) => {
  const { batchSize, sequenceLength, pack, seed } = settings;
  let planned: { readonly epoch: number; readonly batches: EpochBatches } | undefined;
  return (epoch) => {
    if (planned?.epoch !== epoch) {
      const plans = planBatches(kind, { examples: data.examples, batchSize, maxLength: sequenceLength, pack, seed, epoch });
      planned = { epoch, batches: { count: plans.length, batch: (index) => kind.collate(plans[index]) } };
    }
    return planned.batches;
  };
};

const heldOutBatches = <Example>({ loss: { kind }, heldOut, settings }: RunOptions<Example>): TrainingBatch[] => {
  if (heldOut === undefined) return [];
  const { batchSize, sequenceLength } = settings;
  const { examples } = heldOut;
  const plans = planBatches(kind, { examples, batchSize, maxLength: sequenceLength, order: "sequential", seed: 0, epoch: 0 });
  return plans.map((plan) => kind.collate(plan));
};

/** Updates in all: each pass ends with an update of its own, also where `accumulate` does not divide it. */
const countSteps = (epochBatches: (epoch: number) => EpochBatches, { epochs, accumulate, maxSteps = Infinity }: RunSettings): number => {
  let steps = 0;
  for (let epoch = 0; epoch < epochs && steps < maxSteps; epoch++) steps += Math.ceil(epochBatches(epoch).count / accumulate);
  return Math.min(steps, maxSteps);
};

const totalParameters = (model: Model, subject: Subject, { layout }: Trainable): number => {
  const base = model.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return subject.method === "lora" ? base + layout.size : base;
};

const planOf = <Example>(options: RunOptions<Example>, trainable: Trainable, steps: number): RunPlan => {
  const { subject, settings, loss, data } = options;
  const model = modelOf(subject);
  const perEpoch = data.report.tokens;
  return {
    model: subject.method === "pretrain" ? subject.directory : subject.base.directory,
    method: subject.method,
    loss: loss.name,
    trainable: trainable.layout.size,
    total: totalParameters(model, subject, trainable),
    steps,
    epochs: settings.epochs,
    batchSize: settings.batchSize,
    accumulate: settings.accumulate,
    sequenceLength: settings.sequenceLength,
    tokens: perEpoch * settings.epochs,
  };
};

const summaryOf = ({
  loss: { kind },
  data: { examples, report },
  heldOut,
}: Pick<RunOptions, "loss" | "data" | "heldOut">): DataSummary => ({
  examples: examples.length,
  evaluationExamples: heldOut?.examples.length ?? 0,
  tokens: report.tokens,
  supervised: report.supervisedTokens,
  truncated: report.truncated,
  dropped: Object.values(report.dropped).reduce((sum, rows) => sum + rows, 0),
  endTokenSupervised: kind.writes === false || report.endToken !== undefined,
});

const findOf = (subject: Subject): Find => (subject.method === "pretrain" ? () => undefined : storedTensors(subject.base));

/** The settings of a run that fit into a limit. */
const planOfMemory = <Example>({ subject, settings, loss, data, heldOut }: RunOptions<Example>, limit: number): MemoryPlan => {
  const { sequenceLength: maxLength, pack, seed } = settings;
  const shapesIn = (examples: readonly Example[], batchSize: number, options: Pick<EpochOptions, "pack" | "order">): StepShape[] =>
    programShapes(loss, planBatches(loss.kind, { ...options, examples, batchSize, maxLength, seed, epoch: 0 }));
  return planMemory({
    limit,
    model: modelOf(subject),
    find: findOf(subject),
    trainable: trainableOf(subject),
    loss,
    ...memorySettings(settings),
    tokens: data.report.tokens + (heldOut?.report.tokens ?? 0),
    batchSize: settings.batchSize,
    accumulate: settings.accumulate,
    shapesOf: (batchSize) => ({
      training: shapesIn(data.examples, batchSize, { pack }),
      evaluation: heldOut === undefined ? [] : shapesIn(heldOut.examples, batchSize, { order: "sequential" }),
    }),
  });
};

/** The settings of a run that no limit is set to. */
const passesOf = <Example>({ subject, settings, loss, data }: RunOptions<Example>): Pick<RunSettings, "batchSize" | "accumulate"> => {
  const enoughTokens = enoughTokensOf(subject.method === "pretrain" ? undefined : subject.base.precision);
  const tokensPerRow = settings.pack ? settings.sequenceLength : data.report.tokens / data.examples.length;
  return cutIntoPasses({ ...settings, loss, tokensPerRow, enoughTokens });
};

const prefixed = (prefix: string, settings: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(settings).map(([key, value]) => [`${prefix}.${key}`, value]));

const subjectConfiguration = (subject: Subject): Record<string, unknown> => {
  if (subject.method === "pretrain") return prefixed("config", subject.model.config);
  const { digest, precision } = subject.base;
  const base = { base: digest, ...(precision && { precision }) };
  if (subject.method === "full") return base;
  // The base may have moved: its digest says whether it is the same.
  const { base_model_name_or_path: _path, ...config } = subject.stored.adapter.config;
  return { ...base, ...prefixed("adapter", config) };
};

/** What decides the run's bytes: a resumed run must have the same. */
const configurationOf = <Example>({ subject, settings, loss, data, heldOut }: RunOptions<Example>): Record<string, unknown> => {
  const { saveEvery: _saveEvery, ...deciding } = settings;
  return {
    ...deciding,
    method: subject.method,
    ...subjectConfiguration(subject),
    loss: loss.name,
    ...prefixed("loss", loss.settings),
    data: fingerprint(loss.kind, data.examples),
    ...(heldOut && { heldOut: fingerprint(loss.kind, heldOut.examples) }),
  };
};

const rootOf = (error: unknown): unknown => (error instanceof Error && error.cause !== undefined ? rootOf(error.cause) : error);

const resultFailed = (error: unknown, step: number, where: string): unknown => {
  if (LowrankError.is(error) && error.code !== "io-failed") return error;
  const why = messageOf(rootOf(error)).replace(/\.$/, "");
  return new LowrankError("io-failed", `The result could not be written: ${why}. The checkpoint of step ${step} is intact.`, {
    where,
    fix: "Free some space and repeat the command with --resume.",
    cause: error,
  });
};

/**
 * Trains and writes the result, yielding events. The folder ends up with the result (of the best evaluation where there are
 * held-out data, else of the last step), `checkpoints/` and `log.jsonl`.
 */
export async function* run<Example>(given: RunOptions<Example>): AsyncGenerator<TrainEvent> {
  const { memoryLimit } = given;
  const memory = memoryLimit === undefined ? undefined : planOfMemory(given, memoryLimit);
  const options = { ...given, settings: { ...given.settings, ...(memory === undefined ? passesOf(given) : settingsIn(memory)) } };
  const { backend, settings, loss, output, resume = false, signal } = options;
  const epochBatches = epochsOf(options);
  const totalSteps = countSteps(epochBatches, settings);
  const subject = scheduled(options.subject, totalSteps);
  const model = modelOf(subject);
  const trainable = trainableOf(subject);
  const configuration = configurationOf(options);
  const state = resume ? await loadTrainingState(output, configuration) : undefined;
  // Made again it could differ in its last bits.
  if (subject.method === "lora" && state?.frozen !== undefined) subject.stored.frozen.set(state.frozen);
  const parameters = await startOf(subject, trainable, settings.seed);

  await makeFolder(output);
  const log = openJsonlLog(join(output, "log.jsonl"), state === undefined ? {} : { resumedStep: state.progress.step });
  const find = findOf(subject);
  const programs = { model, find, trainable, loss, ...memorySettings(settings) };
  const training = trainingRunner(backend, programs);
  const evaluation = lossRunner(backend, programs);
  const events = train({
    training,
    evaluation,
    evaluationMetrics: (mean, metrics) => loss.evaluationMetrics?.(mean, metrics) ?? metrics,
    parameters,
    optimiser: optimiserOf(trainable, settings),
    schedule: { schedule: settings.schedule, peak: settings.learningRate, warmupSteps: settings.warmupSteps, totalSteps },
    epochs: settings.epochs,
    epochBatches,
    accumulate: settings.accumulate,
    maxGradientNorm: settings.maxGradientNorm === 0 ? Infinity : settings.maxGradientNorm,
    seed: settings.seed,
    heldOut: heldOutBatches(options),
    evalEvery: settings.evalEvery,
    saveEvery: settings.saveEvery,
    earlyStopping: { patience: settings.patience === 0 ? Infinity : settings.patience },
    save: (state, isBest) =>
      saveTrainingState(
        output,
        { ...state, ...(subject.method === "lora" && { frozen: subject.stored.frozen }) },
        { configuration, isBest, saveModel: (folder) => saveResult(subject, trainable, state.parameters, folder) },
      ),
    ...(state && { resume: state }),
    ...(signal && { signal }),
  });

  const emit = (event: TrainEvent): TrainEvent => {
    log.write(event);
    return event;
  };
  try {
    yield emit({ type: "run-start", plan: planOf(options, trainable, totalSteps), ...(state && { resumedStep: state.progress.step }) });
    yield emit({ type: "data-ready", report: summaryOf(options) });
    if (memory !== undefined) yield emit({ type: "memory-planned", limit: memoryLimit!, plan: memory });
    for await (const event of events) {
      if (event.type !== "run-end") yield emit(event);
      else {
        if (event.reason !== "interrupted") {
          // The best may have been found before an interruption, so it comes from its checkpoint.
          const best = await linkedCheckpoint(output, "best");
          const chosen = best === undefined ? parameters : (await loadTrainingState(best.path, configuration)).parameters;
          await saveResult(subject, trainable, chosen, output).catch((error: unknown) => {
            throw resultFailed(error, event.step, output);
          });
        }
        yield emit({ ...event, output });
      }
    }
  } finally {
    log.close();
    await training.dispose();
    await evaluation.dispose();
  }
}

/** Refuses an output folder that holds another run's checkpoints, unless it is to be continued. */
export const checkOutput = async (output: string, resume: boolean): Promise<void> => {
  if (!resume && (await listCheckpoints(output)).length > 0)
    throw new LowrankError("invalid-argument", "The folder holds the checkpoints of another run.", {
      where: output,
      fix: "Continue it with --resume, or choose another --output.",
    });
};
