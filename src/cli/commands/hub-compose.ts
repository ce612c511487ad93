/** @file `lowrank hub-compose`: its options and help. */
import { z } from "zod";
import type { StrategyName } from "../../evaluate/index.ts";
import { defineCommand } from "../schema.ts";
import { adapterOptions, modelOption, placeOptions } from "./generation-options.ts";
import { libraryOption } from "./library/options.ts";

const strategyNames = [
  "cma-es",
  "nelder-mead",
  "cma-es-from-zero",
  "gradient",
  "single",
  "uniform",
  "greedy",
  "base",
] as const satisfies readonly StrategyName[];

const options = z.object({
  ...modelOption,
  adapter: z.array(z.string()).min(1).describe("adapter of another task to draw on").meta({ placeholder: "adapter" }),
  data: z.string().describe("a handful of examples of the new task, in the forms that train takes").meta({ placeholder: "path" }),
  examples: z.int().min(1).default(5).describe("examples to use, from the first"),
  evalData: z.string().optional().describe("held-out examples to measure the result on").meta({ placeholder: "path" }),
  strategy: z
    .enum(strategyNames)
    .default("cma-es")
    .describe("how weights are found; single, uniform, greedy and base are what to compare with"),
  on: z.enum(["updates", "factors"]).default("updates").describe("updates: Σ wΔW, exact; factors: (Σ wA)(Σ wB), as in the paper"),
  evaluations: z.int().min(1).default(40).describe("how often the loss is asked for at most"),
  bound: z.number().positive().default(1.5).describe("weights stay within ± this"),
  regularisation: z.number().min(0).default(1).describe("factor of the mean size of the weights in what is minimised"),
  seed: z.int().default(0).describe("decides the search"),
  seqLength: z.int().min(2).default(512).describe("tokens per row at most"),
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

export type HubComposeOptions = z.output<typeof options>;

export const hubComposeCommand = defineCommand({
  name: "hub-compose",
  summary: "make an adapter for a new task from those of others, by a few examples (LoraHub)",
  examples: [
    "lowrank hub-compose --adapter runs/a --adapter runs/b --adapter runs/c --data five.jsonl --output runs/new",
    "lowrank hub-compose --adapter runs/a --adapter runs/b --data five.jsonl --strategy gradient --eval-data test.jsonl --output runs/new",
  ],
  options,
  load: () => import("./hub-compose-run.ts"),
});
