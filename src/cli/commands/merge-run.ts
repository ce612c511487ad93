/** @file What `lowrank merge` does: writes the merged model, reads it back, and says how far its logits are from base and adapters. */
import { resolve } from "node:path";
import { listFolder } from "../../formats/index.ts";
import { adaptedInference, baseInference, createDecoder, type Inference } from "../../generate/index.ts";
import { writeMergedCheckpoint } from "../../lora/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { ortBackend, type Backend } from "../../runtime/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { folderBytes } from "../folder-bytes.ts";
import { formatBytes } from "../ui/format.ts";
import type { MergeOptions } from "./merge.ts";
import { modelFolder, openAdapters, ortOptions } from "./open-model.ts";

const missingAsEmpty = (error: unknown): string[] => {
  if (LowrankError.is(error) && error.code === "not-found") return [];
  throw error;
};

const checkOutput = async (output: string, force: boolean): Promise<void> => {
  if (force || (await listFolder(output).catch(missingAsEmpty)).length === 0) return;
  throw new LowrankError("invalid-argument", "The folder is not empty.", {
    where: output,
    fix: "Choose another folder with --output, or pass --force to write into this one.",
  });
};

const checkedTokens = 16;

/** Logits (V) after a few tokens from all over the vocabulary. */
const sampleLogits = async (backend: Backend, inference: Inference): Promise<Float32Array> => {
  const { vocabularySize, maxPositions } = inference.model;
  const count = Math.min(checkedTokens, maxPositions);
  const decoder = await createDecoder(backend, inference, new Map(), count);
  const logits = await decoder.append(Array.from({ length: count }, (_, index) => Math.floor((index * vocabularySize) / count)));
  await decoder.dispose();
  return logits;
};

/** Opens what was written, and gives the largest difference of its logits from those of base and adapters. */
const check = async (backend: Backend, directory: string, expected: Float32Array): Promise<{ merged: Base; difference: number }> => {
  const merged = await openBase(directory);
  const logits = await sampleLogits(backend, baseInference(merged));
  return { merged, difference: logits.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index])), 0) };
};

export const run = async (options: MergeOptions, context: CommandContext): Promise<object> => {
  await checkOutput(options.output, options.force);
  const base = await openBase(await modelFolder(options.model, context));
  const adapters = await openAdapters({ base }, options.adapter, options, context);
  const backend = ortBackend(ortOptions(options));
  try {
    const expected = await sampleLogits(backend, await adaptedInference(backend, base, adapters));
    await writeMergedCheckpoint(backend, base, adapters, options.output, {
      dtype: options.dtype === "source" ? undefined : options.dtype,
    });
    const { merged, difference } = await check(backend, options.output, expected);
    const bytes = await folderBytes(options.output, /\.safetensors$/);
    context.out(`Merged model in ${options.output}: ${formatBytes(bytes)}.`);
    context.out(`Read back: its logits differ from base and adapter by ${difference.toExponential(1)} at most.`);
    return {
      model: base.directory,
      adapters: adapters.map(({ directory, weight }) => ({ directory, scale: weight })),
      output: resolve(options.output),
      dtype: options.dtype,
      bytes,
      digest: merged.digest,
      largestDifference: difference,
    };
  } finally {
    await backend.dispose();
  }
};
