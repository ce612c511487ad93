/** @file Floor 6: training. */
export { loadTrainingState, saveTrainingState, type TrainingProgress, type TrainingState } from "./checkpoint.ts";
export type { EarlyStoppingRules } from "./early-stopping.ts";
export type * from "./events.ts";
export { rowFeeds, shapeOf, stepFeeds, type LabelledRows, type LabelledShape, type TokenRows } from "./feeds.ts";
export { chunkOf, headLoss, hiddenStates, tokenInputs, type TokenInputs } from "./forward.ts";
export { openJsonlLog } from "./jsonl-log.ts";
export type { Loss, LossContext, LossParts, MetricParts, Metrics, StepShape, TrainingBatch } from "./losses/loss.ts";
export { nextToken } from "./losses/next-token.ts";
export { sequenceToSequence, type SourcedRows, type SourcedShape } from "./losses/sequence-to-sequence.ts";
export { adamw, type AdamWOptions } from "./optim/adamw.ts";
export type { Optimiser, OptimiserState } from "./optim/optimiser.ts";
export { sgd } from "./optim/sgd.ts";
export { lossRunner, meanLoss, trainingRunner, type StepRunner } from "./programs.ts";
export { learningRateAt, schedules, type LearningRateSchedule } from "./schedule.ts";
export { evaluationProgram, lossProgram, trainingProgram, type StepOptions } from "./step.ts";
export { freshParameters, trainableAdapter, trainableModel, type Trainable } from "./trainable.ts";
export { train, type EpochBatches, type TrainerOptions } from "./trainer.ts";
export { checkOutput, run, type RunOptions, type RunSettings, type Subject } from "./run.ts";
