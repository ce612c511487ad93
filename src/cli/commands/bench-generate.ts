/** @file `lowrank bench generate`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { benchOptions } from "./bench-options.ts";

const text = { group: "Text" };

const options = z.object({
  ...benchOptions,
  adapter: z
    .enum(["none", "beside", "merged"])
    .default("none")
    .describe("the base alone, or how a random adapter works with it")
    .meta({ group: "Adapter" }),
  batchSize: z.int().min(1).default(1).describe("texts at once; beside the base, each has an adapter of its own").meta(text),
  past: z.int().min(1).default(512).describe("tokens of the prompt").meta(text),
  tokens: z.int().min(1).default(32).describe("tokens to generate and measure, after two to warm up").meta(text),
});

export type BenchGenerateOptions = z.output<typeof options>;

export const benchGenerate = defineCommand({
  name: "generate",
  summary: "measure the speed and memory of generation",
  examples: [
    "lowrank bench generate --shape smollm2-135m --past 512",
    "lowrank bench generate --model ./base --adapter beside --rank 8 --json",
  ],
  options,
  load: () => import("./bench-generate-run.ts"),
});
