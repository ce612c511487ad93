/** @file `lowrank generate`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, maxTokensOption, modelOption, runOptions, temperatureOption, textOptions } from "./generation-options.ts";

const options = z.object({
  prompt: z.array(z.string()).default([]).describe('the prompt; several words are joined, "-" reads standard input'),
  prompts: z
    .string()
    .optional()
    .describe(
      "file with a prompt in each row, such as jsonl, and in `adapter` the row's own adapters; one line of JSON is written for each",
    )
    .meta({ placeholder: "file" }),
  batchSize: z.int().min(1).default(8).describe("texts of --prompts that are written at once"),
  ...modelOption,
  chat: z.boolean().default(false).describe("ask as in a chat, by the model's chat template").meta({ group: "Text" }),
  maxTokens: maxTokensOption(128),
  temperature: temperatureOption(0),
  ...textOptions,
  ...adapterOptions,
  merge: z
    .boolean()
    .optional()
    .describe("fold the adapters into the weights first: slower to start, faster per token; default: for one adapter")
    .meta({ group: "Adapters" }),
  ...runOptions,
});

export type GenerateCommandOptions = z.output<typeof options>;

export const generate = defineCommand({
  name: "generate",
  summary: "write the text that follows a prompt",
  examples: [
    'lowrank generate "Mia wants two red apples."',
    'lowrank generate --model ./base --adapter runs/tales --temperature 0.8 --seed 7 "Once upon a time"',
    'lowrank generate --adapter runs/tales:0.7 --adapter runs/pirate:0.3 "Once upon a time"',
    "cat letter.txt | lowrank generate --chat --json -",
    "lowrank generate --prompts orders.jsonl --adapter runs/orders > answers.jsonl",
  ],
  positional: ["prompt"],
  options,
  load: () => import("./generate-run.ts"),
});
