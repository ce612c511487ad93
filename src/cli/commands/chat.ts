/** @file `lowrank chat`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, maxTokensOption, modelOption, runOptions, temperatureOption, textOptions } from "./generation-options.ts";

const options = z.object({
  ...modelOption,
  system: z.string().optional().describe("what the model is told before the conversation").meta({ placeholder: "text" }),
  maxTokens: maxTokensOption(512),
  temperature: temperatureOption(0.7),
  ...textOptions,
  ...adapterOptions,
  ...runOptions,
});

export type ChatOptions = z.output<typeof options>;

export const chat = defineCommand({
  name: "chat",
  summary: "talk with a model, line by line",
  examples: [
    "lowrank chat --model HuggingFaceTB/SmolLM2-135M-Instruct",
    'lowrank chat --model ./base --adapter runs/pirate --system "You are a pirate."',
    "lowrank chat --adapter runs/orders < questions.txt",
  ],
  options,
  load: () => import("./chat-run.ts"),
});
