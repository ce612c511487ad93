/** @file `lowrank inspect`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { libraryOption } from "./library/options.ts";
import { dataOptions, machineOptions, readingOptions } from "./train-options.ts";

const precision = { group: "Precision" };

const options = z.object({
  directory: z.string().describe("folder of a checkpoint or of an adapter, or a name of the library or on the hub"),
  model: z
    .string()
    .optional()
    .describe("the adapter's base, to measure how the adapter sits in it: a folder, or a name on the hub")
    .meta({ placeholder: "model" }),
  tensors: z.boolean().default(false).describe("list every tensor instead of one line per kind"),
  ...libraryOption,
  precision: z
    .boolean()
    .default(false)
    .describe("measure on --data what each --base-precision costs this model, and recommend one")
    .meta(precision),
  data: dataOptions.data
    .optional()
    .describe("data to measure on, as for train")
    .meta({ ...precision, placeholder: "path" }),
  adapter: z
    .string()
    .optional()
    .describe("adapter to measure with; a new one unless given")
    .meta({ ...precision, placeholder: "adapter" }),
  allowOtherBase: z.boolean().default(false).describe("take an adapter that was trained on another base").meta(precision),
  batchSize: z.int().min(1).default(4).describe("rows per batch").meta(precision),
  batches: z.int().min(1).default(4).describe("batches, from the beginning of the data").meta(precision),
  ...readingOptions,
  device: machineOptions.device,
  threads: machineOptions.threads,
});

export type InspectOptions = z.output<typeof options>;

export const inspect = defineCommand({
  name: "inspect",
  summary: "show what a model or an adapter holds",
  examples: [
    "lowrank inspect runs/tales",
    "lowrank inspect runs/tales --model ./base",
    "lowrank inspect ./base --tensors",
    "lowrank inspect runs/tales --json",
    "lowrank inspect --precision ./base --data chats.jsonl",
  ],
  positional: ["directory"],
  options,
  load: () => import("./inspect-run.ts"),
});
