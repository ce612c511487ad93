/** @file The batches of one pass over the data, which depend on the seed and the number of the pass only. It knows nothing about models. */
import { hashText, LowrankError, permutation, random } from "../util/index.ts";
import type { BatchPlan } from "./batch.ts";
import { bucketBatches, bucketLengths } from "./bucket.ts";
import type { Collation } from "./collation.ts";
import type { Example } from "./example.ts";
import { rowKind } from "./kinds/rows.ts";
import { packRows } from "./pack.ts";

export interface EpochOptions<E = Example> {
  readonly examples: readonly E[];
  /** Rows of a batch. */
  readonly batchSize: number;
  /** Longest row in tokens; no example may be longer. */
  readonly maxLength: number;
  /** Puts several examples into a row of `maxLength` tokens; default false, where rows hold one example and take one of at most five lengths. */
  readonly pack?: boolean;
  /** Default shuffled; sequential keeps the order among examples of one bucket, and depends on no seed. */
  readonly order?: "shuffled" | "sequential";
  readonly seed: number;
  /** Counted from 0. */
  readonly epoch: number;
}

const stream = hashText("data-order");

const shuffled = <T>(items: readonly T[], seed: number, epoch: number, use: number): T[] =>
  Array.from(permutation(items.length, random(seed, stream, epoch, use)), (index) => items[index]);

type Lengths<E> = Pick<Collation<E>, "lengthOf" | "whereOf" | "packs">;

const check = <E>({ lengthOf, whereOf, packs }: Lengths<E>, { examples, batchSize, maxLength, pack = false }: EpochOptions<E>): void => {
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new LowrankError("invalid-argument", `The batch size must be a whole number from 1, not ${batchSize}.`);
  if (pack && !packs)
    throw new LowrankError("invalid-argument", "Examples of this kind cannot be packed into rows.", { fix: "Leave packing off." });
  const long = examples.find((example) => lengthOf(example) > maxLength);
  if (long !== undefined)
    throw new LowrankError("invalid-argument", `An example has ${lengthOf(long)} tokens, more than the longest row of ${maxLength}.`, {
      where: whereOf(long),
      fix: "Truncate the examples to the length of the rows.",
    });
};

const packed = <E>(
  { lengthOf }: Lengths<E>,
  { examples, batchSize, maxLength, order, seed, epoch }: EpochOptions<E>,
  indices: ArrayLike<number>,
): BatchPlan<E>[] => {
  const rows = packRows(indices, (index) => lengthOf(examples[index]), maxLength);
  const ordered = order === "sequential" ? rows : shuffled(rows, seed, epoch, 1);
  return Array.from({ length: Math.ceil(ordered.length / batchSize) }, (_, batch) => ({
    examples,
    rows: ordered.slice(batch * batchSize, (batch + 1) * batchSize),
    batchSize,
    length: maxLength,
  }));
};

const bucketed = <E>(
  { lengthOf }: Lengths<E>,
  { examples, batchSize, maxLength, order, seed, epoch }: EpochOptions<E>,
  indices: Iterable<number>,
): BatchPlan<E>[] => {
  const longest = examples.reduce((most, example) => Math.max(most, lengthOf(example)), 0);
  const lengths = bucketLengths(longest, maxLength);
  const buckets = bucketBatches(indices, (index) => lengthOf(examples[index]), lengths, batchSize);
  const ordered = order === "sequential" ? buckets : shuffled(buckets, seed, epoch, 1);
  return ordered.map(({ length, indices }) => ({ examples, rows: indices.map((index) => [index]), batchSize, length }));
};

/**
 * Plans a pass in which every example of a kind comes once. The same seed and epoch give the same plans, so a resumed run takes up at any
 * of them; the kind's `collate` makes the arrays. The last batch may lack examples.
 */
export const planBatches = <E>(collation: Lengths<E>, options: EpochOptions<E>): BatchPlan<E>[] => {
  check(collation, options);
  const { examples, pack = false, order = "shuffled", seed, epoch } = options;
  const all = Array.from(examples.keys());
  const indices = order === "sequential" ? all : shuffled(all, seed, epoch, 0);
  return pack ? packed(collation, { ...options, order }, indices) : bucketed(collation, { ...options, order }, indices);
};

/**
 * Plans a pass over examples of one row each; `materialise` makes the arrays.
 * @example
 * const plans = planEpoch({ examples, batchSize: 8, maxLength: 512, pack: true, seed: 0, epoch: 0 });
 * const batch = materialise(plans[12]);
 */
export const planEpoch = (options: EpochOptions): BatchPlan[] => planBatches(rowKind, options);
