/** @file `lowrank train`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { libraryOption } from "./library/options.ts";
import { dataOptions, loopOptions, lossOptions, machineOptions } from "./train-options.ts";

const adapter = { group: "Adapter" };

const options = z.object({
  model: z.string().describe("folder in Hugging Face's layout, or a name on its hub").meta({ placeholder: "model" }),
  output: z.string().describe("folder for the adapter, its checkpoints and the log").meta({ placeholder: "dir" }),
  publish: z.string().optional().describe("put the adapter into the library under this name").meta({ placeholder: "name" }),
  ...libraryOption,
  task: z
    .enum(["auto", "classify", "regress"])
    .default("auto")
    .describe("what the model is to predict: the labels of texts as classes or as numbers; auto: what its head predicts"),
  method: z.enum(["lora", "full"]).default("lora").describe("train an adapter, or every parameter"),
  ...dataOptions,
  ...lossOptions,
  rank: z.int().min(1).default(8).describe("rank r of the update").meta(adapter),
  alpha: z.number().positive().optional().describe("α of the scaling α/r; default: twice the rank").meta(adapter),
  dropout: z.number().min(0).lt(1).default(0).describe("share of the adapter's input that is dropped").meta(adapter),
  targets: z
    .array(z.string())
    .default(["all-linear"])
    .describe('modules by the end of their name, one regular expression, or "all-linear"')
    .meta({ ...adapter, placeholder: "name" }),
  rslora: z.boolean().default(false).describe("scale by α/√r, which suits high ranks").meta(adapter),
  modulesToSave: z
    .array(z.string())
    .default([])
    .describe("modules to train whole, such as lm_head")
    .meta({ ...adapter, placeholder: "name" }),
  init: z
    .enum(["default", "gaussian", "orthogonal", "pissa", "pissa_niter_4", "pissa_niter_16", "olora", "loftq", "eva", "corda", "lora_ga"])
    .default("default")
    .describe("how A and B start: at random, from the base (pissa, olora, loftq), or from the data (eva, corda, lora_ga)")
    .meta(adapter),
  initBatches: z.int().min(1).default(8).describe("batches that a start from the data looks at").meta(adapter),
  evaRho: z.number().min(1).optional().describe("eva: times the rank that a module gets at most (2 unless given)").meta(adapter),
  cordaMethod: z
    .enum(["ipm", "kpm"])
    .optional()
    .describe("corda: train what the data need most (ipm, unless given), or least (kpm)")
    .meta(adapter),
  loraPlusRatio: z.number().positive().default(1).describe("learning rate of B over that of A (LoRA+)").meta(adapter),
  learningRate: z.number().positive().default(2e-4).describe("peak learning rate").meta({ group: "Training" }),
  ...loopOptions,
  ...machineOptions,
});

export type TrainOptions = z.output<typeof options>;

export const train = defineCommand({
  name: "train",
  summary: "fine-tune a model on your data with a low-rank adapter",
  examples: [
    "lowrank train --model HuggingFaceTB/SmolLM2-135M --data chats.jsonl --output runs/chats",
    "lowrank train --model ./base --data train.csv --eval-data valid.csv --rank 16 --epochs 3 --output runs/orders",
    "lowrank train --model ./base --data pairs.jsonl --loss dpo --beta 0.1 --learning-rate 5e-5 --output runs/preferred",
    "lowrank train --model ./base --data chats.jsonl --output runs/chats --init pissa",
    "lowrank train --model ./base --task classify --data sms.csv --fields text=message --hold-out 0.1 --output runs/spam",
    "lowrank train --config recipe.yaml --learning-rate 1e-3",
    "lowrank train --config recipe.yaml --resume",
    "lowrank train --model ./base --data chats.jsonl --output runs/chats --publish chats",
  ],
  options,
  load: () => import("./train-run.ts"),
});
