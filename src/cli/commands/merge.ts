/** @file `lowrank merge`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, modelOption, placeOptions } from "./generation-options.ts";
import { libraryOption } from "./library/options.ts";

const options = z.object({
  ...modelOption,
  adapter: z
    .array(z.string())
    .min(1)
    .describe("adapter to fold in: a folder, a name of the library or of the hub; with its strength as :scale, for example runs/tales:0.5")
    .meta({ placeholder: "adapter" }),
  output: z.string().describe("folder for the merged model, or the file for GGUF").meta({ placeholder: "path" }),
  format: z
    .enum(["safetensors", "gguf"])
    .default("safetensors")
    .describe("safetensors: a folder in Hugging Face's layout; gguf: a file for llama.cpp"),
  dtype: z
    .enum(["source", "f32", "bf16", "f16", "q8_0"])
    .default("source")
    .describe("precision of the merged model; source: the base's own, q8_0: GGUF only"),
  shardSize: z.string().default("5GB").describe("tensors that a file of a folder takes at most").meta({ placeholder: "size" }),
  force: z.boolean().default(false).describe("write into a folder that is not empty, or replace the file"),
  allowOtherBase: adapterOptions.allowOtherBase.meta({ group: undefined }),
  ...libraryOption,
  ...placeOptions,
});

export type MergeOptions = z.output<typeof options>;

export const merge = defineCommand({
  name: "merge",
  summary: "write a model with adapters folded into its weights",
  examples: [
    "lowrank merge --model ./base --adapter runs/tales --output merged",
    "lowrank merge --model ./base --adapter runs/tales:0.7 --adapter runs/pirate:0.3 --dtype bf16 --output merged",
    "lowrank merge --model ./base --adapter runs/tales --format gguf --dtype q8_0 --output merged.gguf",
  ],
  options,
  load: () => import("./merge-run.ts"),
});
