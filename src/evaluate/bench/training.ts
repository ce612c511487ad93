/** @file Measures whole training steps on random tokens: forward, backward, clipping, AdamW. It prints nothing. */
import { loraConfig, planAdapter, startAdapter } from "../../lora/index.ts";
import { storedTensors, type Base } from "../../models/index.ts";
import { enoughTokensOf } from "../../nn/index.ts";
import { checkDevice, ortBackend, type OrtOptions } from "../../runtime/index.ts";
import {
  adamw,
  cutIntoPasses,
  estimateMemory,
  memorySettings,
  nextToken,
  planMemory,
  settingsIn,
  train,
  trainableAdapter,
  trainingRunner,
  type LabelledRows,
  type MemoryEstimate,
  type MemoryPlan,
  type MemorySettings,
  type TrainingBatch,
} from "../../train/index.ts";
import { hashText, random } from "../../util/index.ts";
import { median, observeMachine, type MachineReport } from "./machine.ts";

export interface TrainingBenchOptions extends MemorySettings {
  /** Rows of an update. */
  readonly batchSize: number;
  /** Bytes that the process may take, for which batches are cut into smaller ones and layers computed again; default as it comes. */
  readonly memoryLimit?: number;
  readonly sequenceLength: number;
  /** Rank of the adapter, which is on every linear module. */
  readonly rank: number;
  /** Steps that count; two before them do not. */
  readonly steps: number;
  readonly seed: number;
}

export interface TrainingBench extends MachineReport {
  /** At the median step. */
  readonly tokensPerSecond: number;
  readonly millisecondsPerStep: number;
  /** Of every step that counts, in order. */
  readonly stepMilliseconds: readonly number[];
  /** From the step's description to a session that can run. */
  readonly sessionSeconds: number;
  /** From the beginning to the end of the first step: session, adapter and that step. */
  readonly firstStepSeconds: number;
  readonly trainable: number;
  /** How the updates were made, and what was expected of `peakMemoryBytes`. */
  readonly settings: MemorySettings & Pick<MemoryPlan, "batchSize" | "accumulate">;
  readonly estimate: MemoryEstimate;
  /** Of the last step; random tokens are learned by heart, no more. */
  readonly loss: number;
}

// The first step faults its memory in, the second one still runs on a cold allocator.
const warmupSteps = 2;

const randomBatch = (rows: number, length: number, vocabularySize: number, seed: number, index: number): LabelledRows & TrainingBatch => {
  const generator = random(seed, hashText("bench"), index);
  const count = rows * length;
  const stream = Int32Array.from({ length: count + 1 }, () => generator.integer(vocabularySize));
  return {
    rows,
    length,
    tokens: count,
    ids: stream.subarray(0, count),
    positions: Int32Array.from({ length: count }, (_, position) => position % length),
    segments: new Int32Array(count).fill(1),
    labels: stream.subarray(1),
  };
};

/**
 * Trains an adapter for a few steps and says how fast that was.
 * @example const { tokensPerSecond } = await benchTraining(base, { batchSize: 4, sequenceLength: 256, rank: 16, steps: 8, seed: 0 }, { threads: 2 });
 */
export const benchTraining = async (base: Base, options: TrainingBenchOptions, place: OrtOptions = {}): Promise<TrainingBench> => {
  const { batchSize, sequenceLength, rank, steps, seed, memoryLimit } = options;
  await checkDevice(place);
  const report = observeMachine(place.threads);
  const began = performance.now();
  const backend = ortBackend(place);
  try {
    const { model } = base;
    const adapter = planAdapter(model, loraConfig({ r: rank, lora_alpha: 2 * rank }));
    const stored = await startAdapter(adapter, base, seed);
    const batchOf = (rows: number, index: number) => randomBatch(rows, sequenceLength, model.vocabularySize, seed, index);
    const shapesOf = (rows: number) => ({ training: [nextToken.shapeOf(batchOf(rows, 0))], evaluation: [] });
    const step = { model, find: storedTensors(base), trainable: trainableAdapter(model, stored), loss: nextToken, tokens: 0 };
    const given = { batchSize, accumulate: 1, ...memorySettings(options) };
    const enoughTokens = enoughTokensOf(base.precision);
    const passes = { ...given, ...cutIntoPasses({ ...given, loss: nextToken, tokensPerRow: sequenceLength, enoughTokens }) };
    const settings = memoryLimit === undefined ? passes : settingsIn(planMemory({ ...step, ...given, limit: memoryLimit, shapesOf }));
    const programs = { ...step, ...memorySettings(settings) };
    const training = trainingRunner(backend, programs);
    const totalSteps = warmupSteps + steps;
    const events = train({
      training,
      parameters: stored.parameters,
      optimiser: adamw(adapter.layout),
      schedule: { schedule: "constant", peak: 1e-4, warmupSteps: 0, totalSteps },
      epochs: 1,
      epochBatches: () => ({ count: totalSteps * settings.accumulate, batch: (index) => batchOf(settings.batchSize, index) }),
      accumulate: settings.accumulate,
      maxGradientNorm: 1,
      seed,
      heldOut: [],
      evalEvery: 0,
      saveEvery: 0,
      earlyStopping: { patience: Infinity },
      save: () => Promise.resolve(""),
    });
    const seconds: number[] = [];
    let [sessionSeconds, firstStepSeconds, loss] = [0, 0, 0];
    for await (const event of events) {
      if (event.type === "compile-end") sessionSeconds = event.seconds;
      if (event.type !== "step-end") continue;
      if (event.step === 1) firstStepSeconds = (performance.now() - began) / 1000;
      if (event.step > warmupSteps) seconds.push(event.seconds);
      loss = event.loss;
    }
    const typical = median(seconds);
    return {
      tokensPerSecond: (batchSize * sequenceLength) / typical,
      millisecondsPerStep: typical * 1000,
      stepMilliseconds: seconds.map((value) => value * 1000),
      sessionSeconds,
      firstStepSeconds,
      trainable: adapter.layout.size,
      loss,
      ...report(),
      // Last, so that it is in none of the times.
      settings,
      estimate: estimateMemory({ ...programs, ...shapesOf(settings.batchSize), accumulate: settings.accumulate }),
    };
  } finally {
    await backend.dispose();
  }
};
