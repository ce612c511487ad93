/** @file `lowrank compose`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, modelOption, placeOptions } from "./generation-options.ts";
import { libraryOption } from "./library/options.ts";

const options = z.object({
  ...modelOption,
  adapter: z
    .array(z.string())
    .min(1)
    .describe("adapter to take in, with its weight as :scale; a negative one takes its effect away")
    .meta({ placeholder: "adapter" }),
  method: z
    .string()
    .default("cat")
    .describe(
      "cat: the exact sum; svd: the nearest of a rank; linear, ties, dare_linear, dare_ties, magnitude_prune: on A and B apart, or with _svd at the end on the updates",
    )
    .meta({ placeholder: "name" }),
  rank: z.int().min(1).optional().describe("rank of the result, where the method chooses one; default: the adapters' largest"),
  energy: z.number().gt(0).max(1).default(1).describe("share of the update that is enough for a smaller rank (svd)"),
  density: z.number().gt(0).max(1).default(0.5).describe("share of elements that survive pruning (ties, dare, magnitude_prune)"),
  signs: z.enum(["total", "frequency"]).default("total").describe("what elects a sign: sizes or numbers (ties)"),
  moduleWeight: z
    .array(z.string().regex(/^.+=-?(\d+\.?\d*|\.\d+)$/, "a module's weight is given as pattern=number"))
    .default([])
    .describe(
      "factor on the weights in modules that a regular expression finds, for example layers.0=0.5; of one adapter: runs/tales:layers.0=0.5",
    )
    .meta({ placeholder: "pattern=number" }),
  seed: z.int().default(0).describe("decides what DARE drops"),
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

export type ComposeCommandOptions = z.output<typeof options>;

export const compose = defineCommand({
  name: "compose",
  summary: "make one adapter of several, and say how far it is from their exact sum",
  examples: [
    "lowrank compose --adapter runs/pirate:0.5 --adapter runs/weather:0.5 --output runs/both",
    "lowrank compose --adapter runs/pirate --adapter runs/weather --method svd --rank 8 --output runs/both",
    "lowrank compose --adapter runs/chatty --adapter runs/rude:-1 --output runs/polite",
    "lowrank compose --adapter runs/a --adapter runs/b --module-weight runs/a:layers.0=0.5 --module-weight runs/b:mlp=0 --output runs/both",
  ],
  options,
  load: () => import("./compose-run.ts"),
});
