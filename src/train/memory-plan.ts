/** @file Chooses micro-batch, checkpointing, what is kept, and chunk so that a run fits into a given memory, the fastest that does. It knows nothing about models or data formats. */
import type { BatchPlan } from "../data/index.ts";
import { LowrankError } from "../util/index.ts";
import { chunkOf } from "./forward.ts";
import type { Loss, MemorySettings, StepShape } from "./losses/loss.ts";
import { inPassesOf, passSizes } from "./passes.ts";
import { shapeKey } from "./programs.ts";
import { estimateMemory, type MemoryEstimate, type MemoryOptions } from "./memory.ts";

export interface MemoryPlanOptions extends Omit<MemoryOptions, "training" | "evaluation"> {
  /** Bytes of the whole process at its peak. */
  readonly limit: number;
  /** Rows of a batch, and batches per update; their product stays what it is. */
  readonly batchSize: number;
  readonly accumulate: number;
  /** The sizes of the programs that training and evaluations compile for batches of so many rows. */
  readonly shapesOf: (batchSize: number) => Pick<MemoryOptions, "training" | "evaluation">;
}

export interface MemoryPlan extends Required<MemorySettings> {
  /** Rows of a batch, and batches per update. */
  readonly batchSize: number;
  readonly accumulate: number;
  readonly estimate: MemoryEstimate;
}

/** What of a plan are settings of a run. */
export const settingsIn = ({ estimate: _estimate, ...settings }: MemoryPlan): Omit<MemoryPlan, "estimate"> => settings;

const plansPerLength = 16;

/** The sizes of the programs that batches need, by the first batches of each length. */
export const programShapes = <Example>(loss: Loss<Example>, plans: readonly BatchPlan<Example>[]): StepShape[] => {
  const shapes = new Map<string, StepShape>();
  const seen = new Map<number, number>();
  for (const plan of plans) {
    const count = seen.get(plan.length) ?? 0;
    seen.set(plan.length, count + 1);
    if (count >= plansPerLength) continue;
    const shape = loss.shapeOf(loss.kind.collate(plan));
    shapes.set(shapeKey(shape), shape);
  }
  return [...shapes.values()];
};

type Candidate = Omit<MemoryPlan, "estimate"> & { readonly slowdown: number };

// Measured on a model of 135 M parameters: the weights are read again for each micro-batch, layers computed twice, and small products do less per second.
const tokensLost = 25;
const recomputing = 4 / 3;
const keeping = 0.96;
const chunkDivisors = [1, 4, 16];
const slowdownOfChunk = 0.01;
const smallestChunk = 64;
const mostSizes = 16;

const tokensOf = (shapes: readonly StepShape[]): number => Math.max(...shapes.map(({ B, T }) => B * T));

/** At most so many of the values, the first and the last among them, evenly apart. */
const spread = (values: readonly number[], most: number): readonly number[] =>
  values.length <= most
    ? values
    : Array.from({ length: most }, (_, index) => values[Math.round((index * (values.length - 1)) / (most - 1))]);

const candidatesOf = (options: MemoryPlanOptions): Candidate[] => {
  const { shapesOf, recompute, keep } = options;
  // An estimate takes a while, and numbers with many divisors have them close together.
  const micro = spread(passSizes(options), mostSizes);
  const wholeChunk = chunkOf(options);
  const chunks = chunkDivisors.map((divisor) => wholeChunk / divisor).filter((chunk) => chunk >= Math.min(smallestChunk, wholeChunk));
  return micro.flatMap((rows) => {
    const fewTokens = 1 + tokensLost / tokensOf(shapesOf(rows).training);
    const ways = (recompute === undefined ? [false, true] : [recompute]).flatMap((again) =>
      // A layer that is computed again keeps nothing of its own.
      (keep === undefined ? [!again, false] : [keep]).map((kept) => ({ recompute: again, keep: kept })),
    );
    return ways.flatMap((way) =>
      chunks.map((chunk, index) => ({
        ...inPassesOf(rows, options),
        ...way,
        chunk,
        slowdown: fewTokens * (way.recompute ? recomputing : 1) * (way.keep ? keeping : 1) * (1 + slowdownOfChunk * index),
      })),
    );
  });
};

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)}MB`;

/**
 * The fastest settings whose estimate stays within the limit; a limit that nothing fits into is `invalid-argument` and names the least that would do.
 * @example const { batchSize, accumulate, recompute, chunk } = planMemory({ limit: 4e9, ...programs, batchSize: 8, accumulate: 1, shapesOf });
 */
export const planMemory = (given: MemoryPlanOptions): MemoryPlan => {
  // Looking through the data for the sizes takes longer than anything else where they are many.
  const known = new Map<number, ReturnType<MemoryPlanOptions["shapesOf"]>>();
  const shapesOf: MemoryPlanOptions["shapesOf"] = (rows) => {
    const shapes = known.get(rows) ?? given.shapesOf(rows);
    known.set(rows, shapes);
    return shapes;
  };
  const options = { ...given, shapesOf };
  const { limit } = options;
  const estimated = ({ slowdown: _slowdown, ...candidate }: Candidate): MemoryPlan => ({
    ...candidate,
    estimate: estimateMemory({ ...options, ...candidate, ...shapesOf(candidate.batchSize) }),
  });
  let least: MemoryPlan | undefined;
  for (const candidate of candidatesOf(options).toSorted((a, b) => a.slowdown - b.slowdown)) {
    const plan = estimated(candidate);
    if (plan.estimate.total <= limit) return plan;
    if (least === undefined || plan.estimate.total < least.estimate.total) least = plan;
  }
  const needed = megabytes(least!.estimate.total);
  throw new LowrankError("invalid-argument", `Training does not fit into ${megabytes(limit)}: the smallest step takes about ${needed}.`, {
    fix: `Give --memory-limit ${needed}, shorter rows (--seq-length), or a base in fewer bits (--base-precision).`,
  });
};
