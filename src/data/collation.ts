/** @file How examples of a kind become batches: one record for each kind. It knows nothing about how examples are chosen. */
import { materialise, type Batch, type BatchPlan } from "./batch.ts";
import type { Example } from "./example.ts";

export interface Collation<E, B> {
  /** Tokens of the longest row that an example takes. */
  lengthOf(example: E): number;
  /** Tokens of all its rows. */
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

/** One example a row, or several where they are packed. */
export const rowCollation: Collation<Example, Batch> = {
  lengthOf: ({ ids }) => ids.length,
  tokensOf: ({ ids }) => ids.length,
  whereOf: ({ where }) => where,
  contentOf: ({ ids, supervised }) => [`${ids.length} `, ids, supervised],
  packs: true,
  collate: materialise,
};
