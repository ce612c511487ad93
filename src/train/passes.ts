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

/** The fewest rows, of those that divide a batch, whose passes still have enough tokens: what a pass holds at once grows with it, and more gains nothing. */
export const cutIntoPasses = ({
  batchSize,
  accumulate,
  loss,
  tokensPerRow,
  enoughTokens = Infinity,
}: PassOptions): Pick<PassOptions, "batchSize" | "accumulate"> => {
  if (loss.spansBatch === true) return { batchSize, accumulate };
  const divisors = Array.from({ length: batchSize }, (_, index) => index + 1).filter((rows) => batchSize % rows === 0);
  const rows = divisors.find((each) => each * tokensPerRow >= enoughTokens) ?? batchSize;
  return { batchSize: rows, accumulate: (accumulate * batchSize) / rows };
};
