/** @file The small run that most of these tests do: a base, data, and settings that reach every part of training. */
import { join } from "node:path";
import { rows, writeBase, writeRows } from "./material.ts";

/** Updates of the run: 7 batches a pass make 4, the last of them with one batch where the others have two. */
export const steps = 12;

/** Writes a base and data into a folder; returns the options of `train` and `pretrain` alike, without `output`. */
export const prepare = async (folder: string) => ({
  model: await writeBase(join(folder, "base")),
  data: writeRows(join(folder, "train.jsonl"), rows(27)),
  evalData: writeRows(join(folder, "valid.jsonl"), rows(31).slice(27)),
  seqLength: 32,
  batchSize: 4,
  accumulate: 2,
  epochs: 3,
  schedule: "cosine",
  warmupSteps: 2,
  learningRate: 0.01,
  evalEvery: 2,
  saveEvery: 1,
  seed: 5,
  threads: 2,
});

/** The options of the adapter. */
export const adapter = { rank: 4, dropout: 0.1, loraPlusRatio: 4 };
