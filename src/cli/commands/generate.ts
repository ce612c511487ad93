/** @file `lowrank generate`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, maxTokensOption, modelOption, runOptions, temperatureOption, textOptions } from "./generation-options.ts";

const options = z.object({
  prompt: z.array(z.string()).min(1).describe('the prompt; several words are joined, "-" reads standard input'),
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
  ],
  positional: ["prompt"],
  options,
  load: () => import("./generate-run.ts"),
});
