/** @file What `lowrank import` does: finds out what kind of adapter it is given, reads it for the base, and writes it in PEFT's form. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { listFolder, mlxWeightsName } from "../../formats/index.ts";
import { readGgufAdapter, readMlxFolder } from "../../interchange/index.ts";
import { saveAdapter, type StoredAdapter } from "../../lora/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { checkOutputFolder } from "../output-place.ts";
import { formatCount } from "../ui/format.ts";
import type { ImportOptions } from "./import.ts";
import { localFolder, modelFolder } from "./open-model.ts";

const read = async (path: string, base: Base): Promise<StoredAdapter> => {
  if ((await stat(path)).isFile()) return readGgufAdapter(path, base);
  const names = await listFolder(path);
  if (names.includes(mlxWeightsName)) return readMlxFolder(path, base);
  const isPeft = names.includes("adapter_model.safetensors");
  throw new LowrankError("invalid-argument", isPeft ? "This adapter is in PEFT's form already." : "This folder holds no adapter.", {
    where: path,
    fix: isPeft ? "Use it with --adapter as it is." : "Name a GGUF file or an adapter's folder of mlx-lm.",
  });
};

export const run = async ({ source, model, output, force }: ImportOptions, context: CommandContext): Promise<object> => {
  await checkOutputFolder(output, force);
  const path = await localFolder(source, context);
  const base = await openBase(await modelFolder(model, context));
  const stored = await read(path, base);
  const { adapter, parameters } = stored;
  const config = { ...adapter.config, base_model_name_or_path: model ?? null };
  await saveAdapter(output, base.model, { ...stored, adapter: { ...adapter, config } }, base.digest);
  const { size } = adapter.targets;
  context.out(
    `Adapter in ${output}: rank ${config.r}, α ${config.lora_alpha}, ${formatCount(size)} modules, ${formatCount(parameters.length)} parameters.`,
  );
  return {
    source: path,
    model: base.directory,
    output: resolve(output),
    r: config.r,
    loraAlpha: config.lora_alpha,
    modules: size,
    parameters: parameters.length,
  };
};
