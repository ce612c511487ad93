/** @file The options that `generate` and `chat` share, as Zod shapes. It knows nothing about models. */
import { z } from "zod";
import type { GenerateOptions } from "../../generate/index.ts";
import { libraryOption } from "./library/options.ts";
import { machineOptions } from "./train-options.ts";

const text = { group: "Text" };
const adapters = { group: "Adapters" };

export const modelOption = {
  model: z
    .string()
    .optional()
    .describe("folder in Hugging Face's layout, or a name on its hub; default: the small model that comes along")
    .meta({ placeholder: "model" }),
};

export const adapterOptions = {
  adapter: z
    .array(z.string())
    .default([])
    .describe("adapter to use: a folder, a name of the library or of the hub; with its strength as :scale, for example runs/tales:0.5")
    .meta({ ...adapters, placeholder: "adapter" }),
  allowOtherBase: z.boolean().default(false).describe("take adapters that were trained on another base").meta(adapters),
  library: libraryOption.library.meta({ ...adapters, placeholder: "dir" }),
};

export const textOptions = {
  topK: z.int().min(0).default(0).describe("choose among the k likeliest tokens; 0: all").meta(text),
  topP: z.number().gt(0).max(1).default(1).describe("choose among the likeliest tokens that reach p together").meta(text),
  minP: z.number().min(0).max(1).default(0).describe("leave out tokens less likely than this share of the likeliest").meta(text),
  repetitionPenalty: z.number().positive().default(1).describe("make tokens that were there already less likely; 1: leave them").meta(text),
  stop: z
    .array(z.string().min(1))
    .default([])
    .describe("text that ends the answer and is not shown")
    .meta({ ...text, placeholder: "text" }),
  seed: z.int().default(0).describe("decides the draws").meta(text),
  speculate: z
    .int()
    .min(0)
    .default(0)
    .describe("tokens to guess ahead from what came before: the same text, sooner where it repeats itself; 0: none")
    .meta(text),
};

/** `--max-tokens` with a command's own default. */
export const maxTokensOption = (count: number) => z.int().min(1).default(count).describe("tokens at most").meta(text);

/** `--temperature` with a command's own default. */
export const temperatureOption = (temperature: number) =>
  z.number().min(0).default(temperature).describe("how freely tokens are drawn; 0: always the likeliest").meta(text);

/** Where programs run. */
export const placeOptions = { device: machineOptions.device, threads: machineOptions.threads };

/** The same, and the base's precision. */
export const runOptions = machineOptions;

interface TextSettings extends Required<Omit<GenerateOptions, "signal">> {}

/** What the library's generation takes, from a command's options. */
export const generateOptions = (options: TextSettings): GenerateOptions => ({
  maxTokens: options.maxTokens,
  temperature: options.temperature,
  topK: options.topK,
  topP: options.topP,
  minP: options.minP,
  repetitionPenalty: options.repetitionPenalty,
  stop: options.stop,
  seed: options.seed,
});
