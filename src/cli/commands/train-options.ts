/** @file The options that `train` and `pretrain` share, as one Zod shape. It knows nothing about how they are used. */
import { z } from "zod";
import type { PrecisionName } from "../../nn/index.ts";

const formatNames = [
  "chat",
  "sharegpt",
  "completion",
  "alpaca",
  "text",
  "preference",
  "alpaca-preference",
  "implicit-preference",
  "judged",
  "labelled",
  "labelled-pair",
] as const;

const data = { group: "Data" };
const training = { group: "Training" };
const objective = { group: "Loss" };
const checkpoints = { group: "Evaluation and checkpoints" };
const machine = { group: "Machine" };

export const dataOptions = {
  data: z
    .string()
    .describe("training data: a file, a folder or a pattern (jsonl, json, csv, tsv, parquet, txt)")
    .meta({ ...data, placeholder: "path" }),
  evalData: z
    .string()
    .optional()
    .describe("held-out data, in the same forms")
    .meta({ ...data, placeholder: "path" }),
  holdOut: z.number().min(0).max(0.9).default(0).describe("share of the data's end to hold out, where there is no --eval-data").meta(data),
  evalLimit: z.int().min(1).optional().describe("held-out examples at most, from the first").meta(data),
  format: z
    .enum(["auto", ...formatNames])
    .default("auto")
    .describe("form of the rows")
    .meta(data),
  fields: z
    .array(z.string().regex(/^[^=]+=[^=]+$/, "a field is given as field=column"))
    .default([])
    .describe("columns that stand for a form's fields, such as prompt=question")
    .meta({ ...data, placeholder: "field=column" }),
  chatTemplate: z
    .string()
    .optional()
    .describe("file with a chat template in place of the model's")
    .meta({ ...data, placeholder: "file" }),
  supervise: z
    .enum(["auto", "completion", "all"])
    .default("auto")
    .describe("tokens that the loss counts: completions and answers, or everything")
    .meta(data),
  seqLength: z.int().min(2).default(512).describe("tokens per row at most").meta(data),
  pack: z.boolean().default(false).describe("fill rows with several examples that do not see each other").meta(data),
  stream: z.boolean().default(false).describe("read text as one stream, cut into blocks of --seq-length").meta(data),
};

export const lossOptions = {
  loss: z
    .enum(["auto", "next-token", "dpo", "orpo", "kto"])
    .default("auto")
    .describe(
      "what is minimised; auto tells it from the first row: pairs of chosen and rejected are dpo, a label that is true or false kto",
    )
    .meta(objective),
  beta: z.number().positive().optional().describe("dpo, kto: how much a departure from the base counts; default 0.1").meta(objective),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .optional()
    .describe("dpo: share of pairs taken to be the wrong way round; default 0")
    .meta(objective),
  lambda: z.number().positive().optional().describe("orpo: weight of the odds ratio; default 0.1").meta(objective),
  desirableWeight: z.number().positive().optional().describe("kto: weight of good answers; default 1").meta(objective),
  undesirableWeight: z.number().positive().optional().describe("kto: weight of bad answers; default 1").meta(objective),
};

const { format, fields, chatTemplate, supervise, seqLength, stream } = dataOptions;

/** How data are read and what their loss is, for commands that measure on them. */
export const readingOptions = { format, fields, chatTemplate, supervise, seqLength, stream, ...lossOptions };

export const loopOptions = {
  epochs: z.int().min(1).default(1).describe("passes over the data").meta(training),
  maxSteps: z.int().min(1).optional().describe("updates at most; the schedule ends there").meta(training),
  batchSize: z.int().min(1).default(8).describe("rows per batch").meta(training),
  accumulate: z.int().min(1).default(1).describe("batches per update").meta(training),
  optimiser: z.enum(["adamw", "sgd"]).default("adamw").describe("update rule").meta(training),
  schedule: z
    .enum(["constant", "linear", "cosine"])
    .default("linear")
    .describe("course of the learning rate after the warm-up")
    .meta(training),
  warmupSteps: z.int().min(0).default(0).describe("updates over which the learning rate rises from 0").meta(training),
  weightDecay: z.number().min(0).default(0).describe("share of each parameter that an update takes away, times the rate").meta(training),
  maxGradNorm: z.number().min(0).default(1).describe("largest norm of the gradient; 0 leaves it alone").meta(training),
  seed: z.int().default(0).describe("decides starting values, data order and dropout").meta(training),
  evalEvery: z.int().min(0).default(0).describe("updates between evaluations; 0: before and after").meta(checkpoints),
  saveEvery: z.int().min(0).default(0).describe("updates between checkpoints; 0: at the end").meta(checkpoints),
  patience: z.int().min(0).default(0).describe("evaluations without improvement that end the run; 0: never").meta(checkpoints),
  resume: z.boolean().default(false).describe("continue from the last checkpoint in --output").meta(checkpoints),
};

export const memoryOptions = {
  memoryLimit: z
    .string()
    .optional()
    .describe("memory that training may take, such as 4GB: batches are cut into smaller ones, layers computed again, as far as it takes")
    .meta({ ...machine, placeholder: "size" }),
  checkpointing: z
    .boolean()
    .optional()
    .describe("compute layers again for the gradient: less memory, about a third slower; default: from 1,024 tokens a row")
    .meta(machine),
};

const precisionNames = ["fp32", "int8", "int4", "nf4"] as const satisfies readonly ("fp32" | PrecisionName)[];

export const machineOptions = {
  basePrecision: z
    .enum(precisionNames)
    .default("fp32")
    .describe(
      "precision of the frozen weights, prepared once per model: int8 trains about 1.7 times as fast, int4 the smallest, nf4 as in QLoRA",
    )
    .meta(machine),
  device: z.enum(["cpu", "webgpu", "cuda"]).default("cpu").describe("where programs run").meta(machine),
  threads: z.int().min(1).max(1024).optional().describe("threads within an operation; default: every core").meta(machine),
};
