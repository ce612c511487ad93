/** @file What `lowrank merge` does: writes the merged model, reads a folder back, and says how far its logits are from base and adapters. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { adaptedInference, baseInference, createDecoder, type Inference } from "../../generate/index.ts";
import { writeGgufModel } from "../../interchange/index.ts";
import { writeMergedCheckpoint } from "../../lora/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { checkDevice, ortBackend, type Backend } from "../../runtime/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { folderBytes } from "../folder-bytes.ts";
import { checkOutputFile, checkOutputFolder } from "../output-place.ts";
import { parseSize } from "../size-text.ts";
import { formatBytes } from "../ui/format.ts";
import { labelsOfAdapters } from "./labels.ts";
import type { MergeOptions } from "./merge.ts";
import { modelFolder, openAdapters, ortOptions, type NamedAdapter } from "./open-model.ts";

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

interface Merged {
  readonly bytes: number;
  /** Lines for people. */
  readonly lines: readonly string[];
  /** What `--json` says beside the common keys. */
  readonly report: object;
}

type Writer = (options: MergeOptions, backend: Backend, base: Base, adapters: readonly NamedAdapter[]) => Promise<Merged>;

const safetensors: Writer = async ({ output, dtype, shardSize }, backend, base, adapters) => {
  if (dtype === "q8_0")
    throw new LowrankError("invalid-argument", "--dtype q8_0 is a type of GGUF files.", { fix: "Pass --format gguf, or choose another." });
  const shardBytes = parseSize(shardSize, "--shard-size");
  const expected = await sampleLogits(backend, await adaptedInference(backend, base, adapters));
  await writeMergedCheckpoint(backend, base, adapters, output, { dtype: dtype === "source" ? undefined : dtype, shardBytes });
  const { merged, difference } = await check(backend, output, expected);
  return {
    bytes: await folderBytes(output, /\.safetensors$/),
    lines: [`Read back: its logits differ from base and adapter by ${difference.toExponential(1)} at most.`],
    report: { digest: merged.digest, largestDifference: difference },
  };
};

const gguf: Writer = async ({ output, dtype }, backend, base, adapters) => {
  const notes = await writeGgufModel(output, { backend, base, adapters, precision: dtype });
  return { bytes: (await stat(output)).size, lines: notes, report: { notes } };
};

const writers = {
  safetensors: { checkOutput: checkOutputFolder, write: safetensors },
  gguf: { checkOutput: checkOutputFile, write: gguf },
};

export const run = async (options: MergeOptions, context: CommandContext): Promise<object> => {
  const { checkOutput, write } = writers[options.format];
  await checkOutput(options.output, options.force);
  await checkDevice(ortOptions(options));
  const classifier = await labelsOfAdapters(options, context);
  const base = await openBase(await modelFolder(options.model, context), classifier && { classifier });
  const backend = ortBackend(ortOptions(options));
  try {
    const adapters = await openAdapters({ base, backend }, options.adapter, options, context);
    const { bytes, lines, report } = await write(options, backend, base, adapters);
    context.out(`Merged model in ${options.output}: ${formatBytes(bytes)}.`);
    for (const line of lines) context.out(line);
    return {
      model: base.directory,
      adapters: adapters.map(({ directory, weight }) => ({ directory, scale: weight })),
      output: resolve(options.output),
      format: options.format,
      dtype: options.dtype,
      bytes,
      ...report,
    };
  } finally {
    await backend.dispose();
  }
};
