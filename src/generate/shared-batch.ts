/** @file The rows of one batch as decoders of their own: what several of them append at about the same time is run together. It knows nothing about text. */
import type { AdapterLease } from "./adapter-cache.ts";
import type { BatchDecoder } from "./batch-decoder.ts";
import { checkRewind, type Decoder } from "./decoder.ts";

/** An adapter that somebody holds for as long as a row uses it. */
export interface WeightedLease extends AdapterLease {
  readonly weight: number;
}

export interface SharedBatch {
  /** A sequence, which waits, in order, while all rows are taken. Its adapters are acquired then, and released when it is disposed of. */
  decoder(acquire: () => Promise<readonly WeightedLease[]>): Promise<Decoder>;
}

/** A row that waits for its next token to be read. */
interface Waiting {
  readonly row: number;
  readonly token: number;
  resolve(logits: Float32Array): void;
  reject(error: unknown): void;
}

/** Lets sequences share a batch of so many rows: they join and leave between its runs [Yu et al. 2022, Orca, §3.1]. */
export const sharedBatch = (batch: BatchDecoder, count: number): SharedBatch => {
  const vacant = Array.from({ length: count }, (_, row) => row);
  const queue: ((row: number) => void)[] = [];
  const jobs: (() => Promise<void>)[] = [];
  const waiting: Waiting[] = [];
  let isRunning = false;

  const step = async (served: readonly Waiting[]): Promise<void> => {
    try {
      const logits = await batch.step(new Map(served.map(({ row, token }) => [row, token])));
      for (const { row, resolve } of served) resolve(logits.get(row)!);
    } catch (error) {
      for (const { reject } of served) reject(error);
    }
  };
  const runAll = async (): Promise<void> => {
    isRunning = true;
    while (jobs.length > 0 || waiting.length > 0) {
      // Whoever was served a moment ago does by then what it does next.
      await new Promise(setImmediate);
      for (const job of jobs.splice(0)) await job();
      await new Promise(setImmediate);
      if (waiting.length > 0) await step(waiting.splice(0));
    }
    isRunning = false;
  };
  const start = (): void => {
    if (!isRunning) void runAll();
  };
  /** Does something between two runs. */
  const between = <T>(work: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      jobs.push(() => work().then(resolve, reject));
      start();
    });
  const next = (row: number, token: number): Promise<Float32Array> =>
    new Promise((resolve, reject) => {
      waiting.push({ row, token, resolve, reject });
      start();
    });

  const takeRow = (): Promise<number> => {
    const row = vacant.shift();
    return row === undefined ? new Promise((resolve) => queue.push(resolve)) : Promise.resolve(row);
  };
  const giveRow = (row: number): void => {
    const first = queue.shift();
    if (first !== undefined) return first(row);
    vacant.push(row);
    vacant.sort((a, b) => a - b); // the lowest first: a batch is as large as its highest row
  };

  return {
    decoder: async (acquire) => {
      const row = await takeRow();
      const adapters = await acquire().catch((error: unknown) => {
        giveRow(row);
        throw error;
      });
      const tokens: number[] = [];
      let held = 0; // tokens in the batch's row
      let isOpen = true;
      return {
        get length() {
          return tokens.length;
        },
        continues: true,
        append: async (ids) => {
          batch.check(ids, tokens.length);
          const follows = ids.length === 1 && held > 0 && held === tokens.length;
          held = 0;
          const logits = await (follows ? next(row, ids[0]) : between(() => batch.join(row, [...tokens, ...ids], adapters)));
          tokens.push(...ids);
          held = tokens.length;
          return logits;
        },
        rewind: (to) => {
          checkRewind(tokens.length, to);
          tokens.length = to;
        },
        dispose: async () => {
          if (!isOpen) return;
          isOpen = false;
          try {
            await between(() => batch.leave(row));
          } finally {
            for (const adapter of adapters) adapter.release();
            giveRow(row);
          }
        },
      };
    },
  };
};
