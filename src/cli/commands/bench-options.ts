/** @file The options that `bench train` and `bench generate` share, as one Zod shape. It knows nothing about what is measured. */
import { z } from "zod";
import { benchShapes, type BenchShape } from "../../evaluate/bench/shapes.ts";
import { machineOptions } from "./train-options.ts";

const model = { group: "Model" };

export const benchOptions = {
  model: z
    .string()
    .optional()
    .describe("folder in Hugging Face's layout, or a name on its hub")
    .meta({ ...model, placeholder: "model" }),
  shape: z
    .enum(Object.keys(benchShapes) as [BenchShape, ...BenchShape[]])
    .optional()
    .describe("a model's shape, with random weights that are written to the cache once")
    .meta(model),
  basePrecision: machineOptions.basePrecision,
  rank: z.int().min(1).default(16).describe("rank of the adapter, which is on every linear module").meta({ group: "Adapter" }),
  seed: z.int().default(0).describe("decides random weights and tokens"),
  device: machineOptions.device,
  threads: machineOptions.threads,
};
