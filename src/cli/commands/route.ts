/** @file `lowrank route`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, modelOption, placeOptions } from "./generation-options.ts";
import { libraryOption } from "./library/options.ts";

const options = z.object({
  text: z.string().optional().describe("the input: a text"),
  ...modelOption,
  adapter: z.array(z.string()).min(1).describe("adapter to choose from").meta({ placeholder: "adapter" }),
  data: z.string().optional().describe("the input: examples, in the forms that train takes").meta({ placeholder: "path" }),
  examples: z.int().min(1).default(16).describe("examples to use, from the first"),
  trainedOn: z
    .array(z.string().regex(/^[^=]+=.+$/, "data are given as adapter=path"))
    .default([])
    .describe("what an adapter was trained on, to compare the input with: adapter=path; default what train --publish stored of it")
    .meta({ placeholder: "pair" }),
  by: z
    .enum(["loss", "arrow", "data"])
    .default("loss")
    .describe("what orders the table: loss of the input, Arrow's prototypes, or the data"),
  seqLength: z.int().min(2).default(512).describe("tokens per row at most"),
  allowOtherBase: adapterOptions.allowOtherBase.meta({ group: undefined }),
  ...libraryOption,
  ...placeOptions,
});

export type RouteCommandOptions = z.output<typeof options>;

export const route = defineCommand({
  name: "route",
  summary: "say which adapters suit an input, and why",
  examples: [
    'lowrank route --adapter runs/pirate --adapter runs/weather "Arr, the ship sails at dawn."',
    "lowrank route --adapter runs/a --adapter runs/b --data five.jsonl --by arrow",
    'lowrank route --adapter team/orders --adapter team/returns --by data "Where is my parcel?"',
  ],
  positional: ["text"],
  options,
  load: () => import("./route-run.ts"),
});
