/** @file `lowrank classify`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, modelOption, placeOptions } from "./generation-options.ts";
import { libraryOption } from "./library/options.ts";

const options = z.object({
  texts: z.array(z.string()).min(1).describe('the texts, each an argument; "-" reads lines of standard input'),
  ...modelOption,
  ...adapterOptions,
  ...libraryOption,
  batchSize: z.int().min(1).default(8).describe("texts at once"),
  seqLength: z.int().min(2).optional().describe("tokens per text at most; default: 512, or the model's positions where they are fewer"),
  ...placeOptions,
});

export type ClassifyCommandOptions = z.output<typeof options>;

export const classify = defineCommand({
  name: "classify",
  summary: "say which class texts belong to, or what value they have",
  examples: [
    'lowrank classify --model ./base --adapter runs/spam "You won a prize, call now" "See you at noon"',
    "cat messages.txt | lowrank classify --model ./base --adapter runs/spam --json -",
  ],
  positional: ["texts"],
  options,
  load: () => import("./classify-run.ts"),
});
