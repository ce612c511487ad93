/** @file `lowrank resize`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, modelOption, placeOptions } from "./generation-options.ts";
import { libraryOption } from "./library/options.ts";

const options = z.object({
  adapter: z.string().describe("adapter: a folder, or a name of the library or of the hub"),
  ...modelOption,
  rank: z.int().min(1).optional().describe("rank of the result at most; default: the adapter's own"),
  energy: z.number().gt(0).max(1).default(1).describe("share of each module's update that is enough, for example 0.99"),
  data: z.string().optional().describe("data to measure what it costs on, in the forms that train takes").meta({ placeholder: "path" }),
  seqLength: z.int().min(2).default(512).describe("tokens per row of the data at most"),
  output: z.string().describe("folder for the adapter, in PEFT's form").meta({ placeholder: "dir" }),
  publish: z
    .string()
    .optional()
    .describe("name of the library to publish it under, with what it was made of")
    .meta({ placeholder: "name" }),
  force: z.boolean().default(false).describe("write into a folder that is not empty"),
  allowOtherBase: adapterOptions.allowOtherBase.meta({ group: undefined }),
  ...libraryOption,
  ...placeOptions,
});

export type ResizeOptions = z.output<typeof options>;

export const resize = defineCommand({
  name: "resize",
  summary: "bring an adapter to another rank, with what that loses",
  examples: [
    "lowrank resize runs/tales --rank 4 --output runs/tales-4",
    "lowrank resize runs/tales --energy 0.99 --data valid.jsonl --output runs/tales-small",
  ],
  positional: ["adapter"],
  options,
  load: () => import("./resize-run.ts"),
});
