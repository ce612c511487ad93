/** @file `lowrank export`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { adapterOptions, modelOption, placeOptions } from "./generation-options.ts";

const options = z.object({
  ...modelOption,
  adapter: z.string().optional().describe("adapter to write; without one the model itself is written").meta({ placeholder: "dir" }),
  format: z.enum(["gguf", "mlx"]).default("gguf").describe("gguf: a file for llama.cpp; mlx: an adapter's folder for mlx-lm"),
  output: z.string().describe("file for GGUF, folder for MLX").meta({ placeholder: "path" }),
  dtype: z
    .enum(["source", "f32", "f16", "bf16", "q8_0"])
    .default("source")
    .describe("precision of a GGUF file; source: the model's own, f32 for an adapter"),
  force: z.boolean().default(false).describe("replace what is there"),
  allowOtherBase: adapterOptions.allowOtherBase.meta({ group: undefined }),
  ...placeOptions,
});

export type ExportOptions = z.output<typeof options>;

export const exportCommand = defineCommand({
  name: "export",
  summary: "write an adapter or a model for llama.cpp or mlx-lm",
  examples: [
    "lowrank export --model ./base --adapter runs/tales --output tales.gguf",
    "lowrank export --model ./base --dtype q8_0 --output base.gguf",
    "lowrank export --model ./base --adapter runs/tales --format mlx --output tales-mlx",
  ],
  options,
  load: () => import("./export-run.ts"),
});
