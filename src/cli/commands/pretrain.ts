/** @file `lowrank pretrain`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { dataOptions, loopOptions, machineOptions } from "./train-options.ts";

const options = z.object({
  model: z.string().describe("folder with config.json and a tokenizer; weights are not read").meta({ placeholder: "dir" }),
  output: z.string().describe("folder for the model, its checkpoints and the log").meta({ placeholder: "dir" }),
  ...dataOptions,
  learningRate: z.number().positive().default(3e-3).describe("peak learning rate").meta({ group: "Training" }),
  ...loopOptions,
  ...machineOptions,
});

export type PretrainOptions = z.output<typeof options>;

export const pretrain = defineCommand({
  name: "pretrain",
  summary: "train a new model from scratch",
  examples: ["lowrank pretrain --model ./config-and-tokenizer --data text.jsonl --pack --learning-rate 3e-3 --output runs/base"],
  options,
  load: () => import("./pretrain-run.ts"),
});
