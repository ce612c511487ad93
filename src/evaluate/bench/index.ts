/** @file Measuring speed and memory. */
export { benchGeneration, type AdapterUse, type GenerationBench, type GenerationBenchOptions } from "./generation.ts";
export type { MachineReport } from "./machine.ts";
export { randomCheckpoint } from "./random-checkpoint.ts";
export { benchShapes, type BenchShape } from "./shapes.ts";
export { benchTraining, type TrainingBench, type TrainingBenchOptions } from "./training.ts";
