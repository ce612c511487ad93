/** @file `lowrank evaluate`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { libraryOption } from "./library/options.ts";
import { dataOptions, machineOptions, readingOptions } from "./train-options.ts";

const { data, holdOut, evalLimit } = dataOptions;

const options = z.object({
  model: z.string().describe("folder in Hugging Face's layout, or a name on its hub").meta({ placeholder: "model" }),
  adapter: z
    .array(z.string())
    .default([])
    .describe("adapter: a folder, a name of the library or of the hub; with :scale for another strength")
    .meta({ placeholder: "adapter" }),
  allowOtherBase: z.boolean().default(false).describe("take adapters that were trained on another base"),
  ...libraryOption,
  adapterColumn: z
    .string()
    .optional()
    .describe("column of the data that names each row's own adapters; rows without it take --adapter, empty ones none")
    .meta({ placeholder: "column" }),
  againstBase: z
    .string()
    .optional()
    .describe("general text, such as a txt file: the loss of base and adapter on it and on the data, which shows what is forgotten")
    .meta({ placeholder: "path" }),
  batchSize: z.int().min(1).default(8).describe("rows per batch"),
  data,
  holdOut: holdOut.describe("measure on this share of the data's end only; 0: on all of it"),
  evalLimit,
  ...readingOptions,
  ...machineOptions,
});

export type EvaluateOptions = z.output<typeof options>;

export const evaluate = defineCommand({
  name: "evaluate",
  summary: "measure a loss and its figures on data, with or without adapters",
  examples: [
    "lowrank evaluate --model ./base --data valid.jsonl",
    "lowrank evaluate --model ./base --data valid.jsonl --adapter runs/orders",
    "lowrank evaluate --model ./base --data valid.jsonl --adapter runs/orders --against-base stories.txt",
    "lowrank evaluate --model ./base --data mixed.jsonl --adapter-column adapter",
    "lowrank evaluate --model ./base --data pairs.jsonl --adapter runs/preferred --loss dpo",
    "lowrank evaluate --model ./base --data shakespeare.txt --stream --seq-length 128 --hold-out 0.1",
  ],
  options,
  load: () => import("./evaluate-run.ts"),
});
