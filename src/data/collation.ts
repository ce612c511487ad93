/** @file How examples become batches. It knows nothing about how examples are chosen, nor about any kind of them. */
import type { BatchPlan } from "./batch.ts";

export interface Collation<E = unknown, B = unknown> {
  /** Tokens of the longest row that an example takes. */
  lengthOf(example: E): number;
  /** Tokens of what is learnt of it, and what they are predicted from. */
  tokensOf(example: E): number;
  /** The row of the file it comes from. */
  whereOf(example: E): string;
  /** Everything that decides what is learnt of it, for a digest. */
  contentOf(example: E): readonly (string | NodeJS.ArrayBufferView)[];
  /** Whether several examples may stand in one row. */
  readonly packs: boolean;
  /** The arrays of a batch. Examples that the plan lacks are empty rows. */
  collate(plan: BatchPlan<E>): B;
}
