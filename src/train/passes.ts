/** @file How a batch is cut into passes where no limit of memory decides that. It knows nothing about models, data formats or precisions. */
import type { Loss } from "./losses/loss.ts";

export interface PassOptions {
  /** Rows of a batch, and batches per update; their product stays what it is. */
  readonly batchSize: number;
  readonly accumulate: number;
  readonly loss: Pick<Loss, "spansBatch">;
  /** Tokens of a row, on average. */
  readonly tokensPerRow: number;
  /** Tokens from which on a longer pass is no faster; undefined where the longest one is the fastest. */
  readonly enoughTokens?: number;
}

/** The rows that a pass may have, fewest first: those that divide a batch, or the whole batch where a loss sees it together. */
export const passSizes = ({ batchSize, loss }: Pick<PassOptions, "batchSize" | "loss">): readonly number[] =>
  loss.spansBatch === true
    ? [batchSize]
    : Array.from({ length: batchSize }, (_, index) => index + 1).filter((rows) => batchSize % rows === 0);

/** The same update in passes of so many rows. */
export const inPassesOf = (
  rows: number,
  { batchSize, accumulate }: Pick<PassOptions, "batchSize" | "accumulate">,
): Pick<PassOptions, "batchSize" | "accumulate"> => ({ batchSize: rows, accumulate: (accumulate * batchSize) / rows });

/** The fewest rows, of those that divide a batch, whose passes still have enough tokens: what a pass holds at once grows with it, and more gains nothing. */
export const cutIntoPasses = (options: PassOptions): Pick<PassOptions, "batchSize" | "accumulate"> => {
  const { batchSize, tokensPerRow, enoughTokens = Infinity } = options;
  return inPassesOf(passSizes(options).find((rows) => rows * tokensPerRow >= enoughTokens) ?? batchSize, options);
};
