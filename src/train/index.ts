/** @file Floor 6: training. */
export { loadTrainingState, saveTrainingState, type TrainingProgress, type TrainingState } from "./checkpoint.ts";
export type { EarlyStoppingRules } from "./early-stopping.ts";
export type * from "./events.ts";
export { shapeOf, stepFeeds, type StepBatch } from "./feeds.ts";
export { openJsonlLog } from "./jsonl-log.ts";
export { adamw, type AdamWOptions } from "./optim/adamw.ts";
export type { Optimiser, OptimiserState } from "./optim/optimiser.ts";
export { sgd } from "./optim/sgd.ts";
export { lossRunner, meanLoss, trainingRunner, type StepRunner } from "./programs.ts";
export { learningRateAt, schedules, type LearningRateSchedule } from "./schedule.ts";
export { evaluationProgram, lossProgram, trainingProgram, type StepOptions, type StepShape } from "./step.ts";
export { freshParameters, trainableAdapter, trainableModel, type Trainable } from "./trainable.ts";
export { train, type EpochBatches, type TrainerOptions } from "./trainer.ts";
export { checkOutput, run, type RunOptions, type RunSettings, type Subject } from "./run.ts";
