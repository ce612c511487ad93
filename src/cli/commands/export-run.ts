/** @file What `lowrank export` does: writes the adapter, or the model where none is named, in another tool's form, and says what it wrote. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { writeGgufAdapter, writeGgufModel, writeMlxFolder } from "../../interchange/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { checkDevice, ortBackend } from "../../runtime/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { folderBytes } from "../folder-bytes.ts";
import { checkOutputFile, checkOutputFolder } from "../output-place.ts";
import { formatBytes } from "../ui/format.ts";
import type { ExportOptions } from "./export.ts";
import { modelFolder, openAdapters, ortOptions, type NamedAdapter } from "./open-model.ts";

const refuse = (what: string, fix: string): LowrankError => new LowrankError("invalid-argument", what, { fix });

/** Writes one form, and returns its bytes and what it does differently, in sentences for people. */
type Writer = (
  options: ExportOptions,
  base: Base,
  adapter: NamedAdapter | undefined,
) => Promise<{ bytes: number; notes: readonly string[] }>;

const gguf: Writer = async (options, base, adapter) => {
  const { output, dtype } = options;
  let notes: readonly string[] = [];
  if (adapter !== undefined) {
    if (dtype !== "source" && dtype !== "f32" && dtype !== "f16")
      throw refuse(`--dtype: an adapter is written as f32 or f16, not ${dtype}.`, "Leave --dtype out for f32.");
    await writeGgufAdapter(output, base, adapter, dtype === "f16" ? "f16" : "f32");
  } else {
    await checkDevice(ortOptions(options));
    const backend = ortBackend(ortOptions(options));
    try {
      notes = await writeGgufModel(output, { backend, base, adapters: [], precision: dtype });
    } finally {
      await backend.dispose();
    }
  }
  return { bytes: (await stat(output)).size, notes };
};

const mlx: Writer = async ({ output, dtype }, base, adapter) => {
  if (adapter === undefined)
    throw refuse("--format mlx is for adapters: mlx-lm reads the model as it is.", "Name an adapter with --adapter.");
  if (dtype !== "source") throw refuse("--dtype is for GGUF files.", "Leave it out.");
  await writeMlxFolder(output, base, adapter);
  return { bytes: await folderBytes(output, /^adapters\.safetensors$/), notes: [] };
};

const writers = { gguf: { check: checkOutputFile, write: gguf }, mlx: { check: checkOutputFolder, write: mlx } };

export const run = async (options: ExportOptions, context: CommandContext): Promise<object> => {
  const { output, format } = options;
  const { check, write } = writers[format];
  await check(output, options.force);
  const base = await openBase(await modelFolder(options.model, context));
  const [adapter] = await openAdapters({ base }, options.adapter === undefined ? [] : [options.adapter], options, context);
  if (adapter !== undefined && adapter.weight !== 1)
    throw refuse("--adapter: an adapter is written as it is; its strength is set where it is used.", `Leave out :${adapter.weight}.`);
  const { bytes, notes } = await write(options, base, adapter);
  context.out(`${adapter === undefined ? "Model" : "Adapter"} in ${output}: ${formatBytes(bytes)}.`);
  for (const note of notes) context.out(note);
  return { model: base.directory, adapter: adapter?.directory ?? null, format, output: resolve(output), bytes, notes };
};
