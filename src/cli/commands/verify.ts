/** @file `lowrank verify`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { placeOptions } from "./generation-options.ts";

const limits = { group: "Limits" };

const options = z.object({
  directories: z.array(z.string()).min(1).describe("folders with model/, adapter/, golden.safetensors and golden.json"),
  tolerance: z.number().min(0).default(2e-4).describe("largest difference of a logit; of T5, as a share of the largest").meta(limits),
  gradientTolerance: z.number().min(0).default(1e-3).describe("largest relative difference of a gradient (L2)").meta(limits),
  lossTolerance: z
    .number()
    .min(0)
    .default(1e-3)
    .describe("largest difference of the loss at an AdamW step; of T5, as a share of it")
    .meta(limits),
  ...placeOptions,
});

export type VerifyOptions = z.output<typeof options>;

export const verify = defineCommand({
  name: "verify",
  summary: "compare the engine with recorded references",
  examples: ["lowrank verify ../shared/goldens/llama.all-linear", "lowrank verify ../shared/goldens/llama.* --tolerance 1e-5 --json"],
  positional: ["directories"],
  options,
  load: () => import("./verify-run.ts"),
});
