/** @file `lowrank bench train`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { benchOptions } from "./bench-options.ts";
import { memoryOptions } from "./train-options.ts";

const step = { group: "Step" };

const options = z.object({
  ...benchOptions,
  batchSize: z.int().min(1).default(4).describe("rows per batch").meta(step),
  seqLength: z.int().min(2).default(256).describe("tokens per row").meta(step),
  ...memoryOptions,
  steps: z.int().min(1).default(8).describe("steps to measure, after two to warm up").meta(step),
});

export type BenchTrainOptions = z.output<typeof options>;

export const benchTrain = defineCommand({
  name: "train",
  summary: "measure the speed and memory of training",
  examples: [
    "lowrank bench train --shape smollm2-135m --batch-size 4 --seq-length 256 --rank 16",
    "lowrank bench train --model ./base --batch-size 1 --seq-length 1024 --json",
  ],
  options,
  load: () => import("./bench-train-run.ts"),
});
