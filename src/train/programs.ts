/** @file Compiled steps by shape: the few static sizes that batches fall into are compiled once each. It knows nothing about optimisers. */
import type { Graph } from "../graph/index.ts";
import { dropoutInput, dropoutPool, poolSize } from "../lora/index.ts";
import {
  disposePrograms,
  type Backend,
  type CompileOptions,
  type Executable,
  type Feed,
  type Programs,
  type Resident,
} from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import type { Loss, StepShape, TrainingBatch } from "./losses/loss.ts";
import { addCounts, addSums, countsOf, metricSums, type Counts, type MetricSums } from "./metrics.ts";
import { lossProgram, stepCompilation, trainingProgram, widestInput, type StepOptions } from "./step.ts";

export interface StepResult {
  /** The loss before it is divided. */
  readonly loss: number;
  /** What the sum over batches is divided by. */
  readonly weight: number;
  readonly metrics: MetricSums;
  readonly counts: Counts;
  /** Gradient of the sum; empty where none was asked for. */
  readonly gradient: Float32Array;
}

export interface StepRunner<Batch extends TrainingBatch = TrainingBatch> {
  /** The static sizes of the batch's program. */
  shapeOf(batch: Batch): StepShape;
  /** Whether a program for this batch has been compiled. */
  isReady(batch: Batch): boolean;
  /** Compiles the batch's program. */
  prepare(batch: Batch): Promise<void>;
  /** Runs a batch; `dropoutSeed` and `step` choose the dropout masks. Memory that is given for the gradient is used up and comes back as it. */
  run(batch: Batch, parameters: Float32Array, dropoutSeed: number, step: number, memory?: Float32Array): Promise<StepResult>;
  dispose(): Promise<void>;
}

/** Tells static sizes apart: batches of one key share a program. */
export const shapeKey = (shape: StepShape): string => Object.values(shape).join("×");

type Settings<Batch extends TrainingBatch> = Omit<StepOptions, "shape" | "loss"> & { readonly loss: Loss<unknown, Batch> };

const runner = <Batch extends TrainingBatch>(
  backend: Backend,
  options: Settings<Batch>,
  build: (options: StepOptions) => Graph,
  dropout: number,
  compileOptions: CompileOptions,
): StepRunner<Batch> => {
  const { loss, model } = options;
  const compiled: Programs = new Map();
  // Uploaded with the first batch, and fed to every one.
  let constants: Promise<[name: string, resident: Resident][]> | undefined;
  const uploadConstants = (): Promise<[string, Resident][]> =>
    Promise.all(
      Object.entries(options.trainable.constants).map(async ([name, tensor]): Promise<[string, Resident]> => [
        name,
        await backend.upload(tensor),
      ]),
    );
  // A copy of the parameters that goes to the backend and back; none while it is there.
  let copy: Float32Array | undefined;
  const copyOf = (parameters: Float32Array): Float32Array => {
    const memory = copy ?? new Float32Array(parameters.length);
    copy = undefined;
    memory.set(parameters);
    return memory;
  };
  const executableFor = (shape: StepShape): Promise<Executable> => {
    const executable = compiled.get(shapeKey(shape)) ?? backend.compile(build({ ...options, shape }), compileOptions);
    compiled.set(shapeKey(shape), executable);
    return executable;
  };
  return {
    shapeOf: (batch) => loss.shapeOf(batch),
    isReady: (batch) => compiled.has(shapeKey(loss.shapeOf(batch))),
    prepare: async (batch) => {
      await executableFor(loss.shapeOf(batch));
    },
    run: async (batch, parameters, dropoutSeed, step, memory) => {
      const shape = loss.shapeOf(batch);
      const executable = await executableFor(shape);
      constants ??= uploadConstants();
      const feeds: Record<string, Feed> = {
        ...loss.feeds(batch, shape),
        ...Object.fromEntries(await constants),
        parameters: f32(copyOf(parameters)),
      };
      if (dropout > 0) {
        const widest = widestInput(model, shape);
        feeds[dropoutInput] = f32(dropoutPool(widest, dropout, dropoutSeed, step), [poolSize(widest)]);
      }
      const into: Record<string, HostTensor> = memory === undefined ? {} : { gradient: f32(memory) };
      const outputs = (await executable.run(feeds, { lend: ["parameters"], into })) as Record<string, HostTensor>;
      copy = outputs["parameters"].data as Float32Array;
      return {
        loss: Number(outputs["loss"].data[0]),
        weight: Number(outputs["weight"].data[0]),
        metrics: metricSums(outputs),
        counts: countsOf(outputs),
        gradient: (outputs["gradient"]?.data as Float32Array | undefined) ?? new Float32Array(0),
      };
    },
    dispose: async () => {
      await disposePrograms(compiled);
      // What failed to be uploaded has nothing to free, and whoever asked for it knows.
      for (const [, resident] of (await constants?.catch(() => undefined)) ?? []) await backend.release(resident);
      constants = undefined;
    },
  };
};

/** Steps with gradient and dropout. */
export const trainingRunner = <Batch extends TrainingBatch>(backend: Backend, options: Settings<Batch>): StepRunner<Batch> =>
  runner(backend, options, trainingProgram, options.trainable.dropout, stepCompilation);

/** Losses alone, without dropout. */
export const lossRunner = <Batch extends TrainingBatch>(backend: Backend, options: Settings<Batch>): StepRunner<Batch> =>
  runner(backend, options, lossProgram, 0, {});

/** Mean loss over batches, what it is a mean of, the sums of the metrics, and the counts. */
export const meanLoss = async <Batch extends TrainingBatch>(
  loss: StepRunner<Batch>,
  batches: Iterable<Batch>,
  parameters: Float32Array,
): Promise<{ loss: number; weight: number; metrics: MetricSums; counts: Counts }> => {
  let [sum, weight] = [0, 0];
  let metrics: MetricSums = {};
  let counts: Counts = {};
  for (const batch of batches) {
    const result = await loss.run(batch, parameters, 0, 0);
    sum += result.loss;
    weight += result.weight;
    metrics = addSums(metrics, result.metrics);
    counts = addCounts(counts, result.counts);
  }
  return { loss: sum / weight, weight, metrics, counts };
};
