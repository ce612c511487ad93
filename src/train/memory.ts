/** @file How much memory training will take, from the shapes of its programs alone, and which of its settings fit into a limit. It measures nothing. */
import { plannedBytes, mappedBytes, packedBytes } from "../onnx/index.ts";
import type { StepShape } from "./losses/loss.ts";
import { lossProgram, trainingProgram, type StepOptions } from "./step.ts";

/** Bytes of the process at its peak, by what takes them. */
export interface MemoryEstimate {
  /** Weights, mapped from their files by every program (which share the pages, but all count as the process's), and copies of them. */
  readonly weights: number;
  /** Values that programs hold at once, in the buffers that the runtime plans for them. */
  readonly activations: number;
  /** What is trained, its gradients and moments, and copies of them on their way between threads. */
  readonly optimiser: number;
  /** The process itself with its data, its programs and what its allocators cannot use again. */
  readonly overhead: number;
  readonly total: number;
}

export interface MemoryOptions extends Omit<StepOptions, "shape"> {
  /** The sizes of the programs that training compiles, and those of evaluations. */
  readonly training: readonly StepShape[];
  readonly evaluation: readonly StepShape[];
  /** Tokens of the data that the process holds. */
  readonly tokens: number;
  /** Batches per update; default 1. */
  readonly accumulate?: number;
}

// Fitted to peaks measured over models, lengths and precisions (bench/memory.ts; docs/LOG.md has the errors).
const processBytes = 165e6;
const bytesPerOp = 6_500;
const unusable = 0.05;
const copiesOfParameters = 6;
// The sum of an update's gradients, where there are several.
const copiesToSum = 1;
const bytesPerToken = 8;
// What reading data leaves behind until it is collected.
const garbagePerToken = 250;
const mostGarbage = 150e6;

/** Estimates the peak of a run. */
export const estimateMemory = ({ training, evaluation, tokens, accumulate = 1, ...options }: MemoryOptions): MemoryEstimate => {
  const graphs = [
    ...training.map((shape) => trainingProgram({ ...options, shape })),
    ...evaluation.map((shape) => lossProgram({ ...options, shape })),
  ];
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  // Each program maps the files and makes copies of its own; whether there are any, the first one tells.
  const weights = sum(graphs.map(mappedBytes)) + graphs.length * packedBytes(graphs[0]);
  // A session keeps the memory of its largest run.
  const activations = sum(graphs.map(plannedBytes));
  const optimiser = (copiesOfParameters + (accumulate > 1 ? copiesToSum : 0)) * 4 * options.trainable.layout.size;
  const data = bytesPerToken * tokens + Math.min(mostGarbage, garbagePerToken * tokens);
  const overhead = processBytes + data + bytesPerOp * sum(graphs.map(({ order }) => order.length)) + unusable * activations;
  return { weights, activations, optimiser, overhead, total: weights + activations + optimiser + overhead };
};
