/** @file Compiled steps by shape: the few static sizes that batches fall into are compiled once each. It knows nothing about optimisers. */
import { dropoutInput, dropoutPool, poolSize } from "../lora/index.ts";
import type { Backend, Executable } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { shapeOf, stepFeeds, type StepBatch } from "./feeds.ts";
import { lossProgram, trainingProgram, widestInput, type StepOptions, type StepShape } from "./step.ts";

export interface StepResult {
  /** Sum over labels of −log p. */
  readonly loss: number;
  /** Labels in the batch. */
  readonly tokens: number;
  /** Gradient of the sum; empty where none was asked for. */
  readonly gradient: Float32Array;
}

export interface StepRunner {
  /** Whether a batch of this shape has been compiled. */
  isReady(batch: StepBatch): boolean;
  /** Compiles for the batch's shape; returns the shape. */
  prepare(batch: StepBatch): Promise<StepShape>;
  /** Runs a batch; `dropoutSeed` and `step` choose the dropout masks. */
  run(batch: StepBatch, parameters: Float32Array, dropoutSeed: number, step: number): Promise<StepResult>;
  dispose(): Promise<void>;
}

const keyOf = ({ B, T, L }: StepShape): string => `${B}×${T}×${L}`;

type Settings = Omit<StepOptions, "shape">;

const runner = (backend: Backend, options: Settings, build: typeof trainingProgram, dropout: number): StepRunner => {
  const compiled = new Map<string, Promise<Executable>>();
  const executableFor = (shape: StepShape): Promise<Executable> => {
    const executable = compiled.get(keyOf(shape)) ?? backend.compile(build({ ...options, shape }));
    compiled.set(keyOf(shape), executable);
    return executable;
  };
  return {
    isReady: (batch) => compiled.has(keyOf(shapeOf(batch))),
    prepare: async (batch) => {
      const shape = shapeOf(batch);
      await executableFor(shape);
      return shape;
    },
    run: async (batch, parameters, dropoutSeed, step) => {
      const shape = shapeOf(batch);
      const executable = await executableFor(shape);
      const feeds: Record<string, HostTensor> = { ...stepFeeds(batch, shape), parameters: f32(parameters) };
      if (dropout > 0) {
        const widest = widestInput(options.model, shape);
        feeds[dropoutInput] = f32(dropoutPool(widest, dropout, dropoutSeed, step), [poolSize(widest)]);
      }
      const { loss, tokens, gradient } = (await executable.run(feeds)) as Record<string, HostTensor>;
      return {
        loss: Number(loss.data[0]),
        tokens: Number(tokens.data[0]),
        gradient: (gradient?.data as Float32Array | undefined) ?? new Float32Array(0),
      };
    },
    dispose: async () => {
      for (const executable of compiled.values()) await (await executable).dispose();
      compiled.clear();
    },
  };
};

/** Steps with gradient and dropout. */
export const trainingRunner = (backend: Backend, options: Settings): StepRunner =>
  runner(backend, options, trainingProgram, options.trainable.dropout);

/** Losses alone, without dropout. */
export const lossRunner = (backend: Backend, options: Settings): StepRunner => runner(backend, options, lossProgram, 0);

/** Mean loss per label over batches. */
export const meanLoss = async (
  loss: StepRunner,
  batches: Iterable<StepBatch>,
  parameters: Float32Array,
): Promise<{ loss: number; tokens: number }> => {
  let sum = 0;
  let tokens = 0;
  for (const batch of batches) {
    const result = await loss.run(batch, parameters, 0, 0);
    sum += result.loss;
    tokens += result.tokens;
  }
  return { loss: sum / tokens, tokens };
};
