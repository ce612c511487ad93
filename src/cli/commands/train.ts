/** @file `lowrank train`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions } from "./adapter-options.ts";
import { libraryOption } from "./library/options.ts";
import { dataOptions, loopOptions, lossOptions, machineOptions, memoryOptions } from "./train-options.ts";

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
  ...adapterOptions,
  loraPlusRatio: z.number().positive().default(1).describe("learning rate of B over that of A (LoRA+)").meta({ group: "Adapter" }),
  learningRate: z.number().positive().default(2e-4).describe("peak learning rate").meta({ group: "Training" }),
  ...loopOptions,
  ...machineOptions,
  ...memoryOptions,
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
    "lowrank train --model ./base --data chats.jsonl --output runs/chats --adapter-kind dora --targets q_proj --targets v_proj",
    "lowrank train --model ./base --task classify --data sms.csv --fields text=message --hold-out 0.1 --output runs/spam",
    "lowrank train --model ./base --data chats.jsonl --output runs/chats --base-precision int8 --memory-limit 2GB",
    "lowrank train --config recipe.yaml --learning-rate 1e-3",
    "lowrank train --config recipe.yaml --resume",
    "lowrank train --model ./base --data chats.jsonl --output runs/chats --publish chats",
  ],
  options,
  load: () => import("./train-run.ts"),
});
