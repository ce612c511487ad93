/** @file `lowrank extract`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { modelOption, placeOptions } from "./generation-options.ts";

const options = z.object({
  tuned: z.string().describe("model that was fine-tuned whole: a folder, or a name on the hub"),
  ...modelOption,
  rank: z.int().min(1).default(16).describe("rank of the adapter at most"),
  energy: z.number().gt(0).max(1).default(1).describe("share of each module's change that is enough for a smaller rank"),
  output: z.string().describe("folder for the adapter, in PEFT's form").meta({ placeholder: "dir" }),
  force: z.boolean().default(false).describe("write into a folder that is not empty"),
  ...placeOptions,
});

export type ExtractCommandOptions = z.output<typeof options>;

export const extract = defineCommand({
  name: "extract",
  summary: "take an adapter out of a fine-tuned model and its base",
  examples: [
    "lowrank extract ./tuned --model ./base --rank 32 --output runs/tuned",
    "lowrank extract ./tuned --model ./base --energy 0.9 --output runs/tuned",
  ],
  positional: ["tuned"],
  options,
  load: () => import("./extract-run.ts"),
});
