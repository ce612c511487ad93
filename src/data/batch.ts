/** @file Examples collated into rows of one length, as a training step reads them. It knows nothing about how they were chosen. */
import type { Example } from "./example.ts";

/** Marks positions without a label. */
export const noLabel = -100;

/** Rows of tokens; all arrays are (rows, length), row-major. */
export interface Batch {
  /** B */
  readonly rows: number;
  /** T */
  readonly length: number;
  /** Token ids; 0 where there is no token. */
  readonly ids: Int32Array; // (B, T)
  /** Positions, which begin at 0 in each document. */
  readonly positions: Int32Array; // (B, T)
  /** 0 where there is no token, then 1, 2 … for the documents of a row. */
  readonly segments: Int32Array; // (B, T)
  /** The token that follows in the same document where it is supervised, otherwise −100. */
  readonly labels: Int32Array; // (B, T)
  /** Number of tokens. */
  readonly tokens: number;
  /** Number of labels. */
  readonly supervised: number;
  /** Number of examples. */
  readonly documents: number;
  /** Where the examples come from, in order. */
  readonly sources: readonly string[];
}

/** Which examples stand in which row, one behind the other. */
export interface BatchPlan<E = Example> {
  readonly examples: readonly E[];
  /** Indices into `examples`; at most `batchSize` lists. */
  readonly rows: readonly (readonly number[])[];
  readonly batchSize: number;
  readonly length: number;
}

/** The arrays of a batch. Rows that the plan lacks are empty. */
export const materialise = ({ examples, rows, batchSize: B, length: T }: BatchPlan): Batch => {
  const [ids, positions, segments] = [new Int32Array(B * T), new Int32Array(B * T), new Int32Array(B * T)];
  const labels = new Int32Array(B * T).fill(noLabel);
  const sources: string[] = [];
  let [count, labelled] = [0, 0];
  for (const [row, documents] of rows.entries()) {
    let at = row * T;
    for (const [document, index] of documents.entries()) {
      const { ids: tokens, supervised, where } = examples[index];
      ids.set(tokens, at);
      for (let position = 0; position < tokens.length; position++) {
        positions[at + position] = position;
        segments[at + position] = document + 1;
        if (supervised[position + 1] === 1) {
          labels[at + position] = tokens[position + 1];
          labelled++;
        }
      }
      at += tokens.length;
      count += tokens.length;
      sources.push(where);
    }
  }
  return { rows: B, length: T, ids, positions, segments, labels, tokens: count, supervised: labelled, documents: sources.length, sources };
};
