/** @file `lowrank inspect`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { libraryOption } from "./library/options.ts";

const options = z.object({
  directory: z.string().describe("folder of a checkpoint or of an adapter, or a name of the library or on the hub"),
  model: z
    .string()
    .optional()
    .describe("the adapter's base, to measure how the adapter sits in it: a folder, or a name on the hub")
    .meta({ placeholder: "model" }),
  tensors: z.boolean().default(false).describe("list every tensor instead of one line per kind"),
  ...libraryOption,
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
  ],
  positional: ["directory"],
  options,
  load: () => import("./inspect-run.ts"),
});
