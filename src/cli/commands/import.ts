/** @file `lowrank import`: its options and help. */
import { z } from "zod";
import { defineCommand } from "../schema.ts";
import { modelOption } from "./generation-options.ts";

const options = z.object({
  source: z.string().describe("GGUF file with an adapter, or an adapter's folder of mlx-lm"),
  ...modelOption,
  output: z.string().describe("folder for the adapter, in PEFT's form").meta({ placeholder: "dir" }),
  force: z.boolean().default(false).describe("write into a folder that is not empty"),
});

export type ImportOptions = z.output<typeof options>;

export const importCommand = defineCommand({
  name: "import",
  summary: "read an adapter of llama.cpp or mlx-lm",
  examples: ["lowrank import tales.gguf --model ./base --output runs/tales", "lowrank import tales-mlx --model ./base --output runs/tales"],
  positional: ["source"],
  options,
  load: () => import("./import-run.ts"),
});
