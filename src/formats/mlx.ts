/** @file Reads and writes adapter folders as mlx-lm has them. It knows nothing about models. */
import { join, resolve } from "node:path";
import { LowrankError, type HostTensor } from "../util/index.ts";
import { writeFileAtomically } from "./atomic.ts";
import { listFolder, makeFolder } from "./disk.ts";
import { configReader } from "./hf-config.ts";
import { isObject, readJsonObject, sortedJson } from "./json.ts";
import { quoted } from "./safetensors-header.ts";
import { tensorSources, writeSafetensors } from "./safetensors-write.ts";
import { readSafetensorsHeader, readTensorF32 } from "./safetensors.ts";

/** An adapter as its folder has it: y = xW + scale·(x·A)·B, with one rank and one scale for all modules, and in DoRA m/‖V‖ times that. */
export interface MlxAdapter {
  readonly kind: MlxKind;
  /** How many layers, counted from the last, have adapters. */
  readonly layers: number;
  readonly rank: number;
  readonly scale: number;
  readonly dropout: number;
  /** Modules that have adapters, by their names within a layer or within the model; null for all. */
  readonly keys: readonly string[] | null;
  /** `<module>.lora_a` (in, r), `<module>.lora_b` (r, out) and in DoRA `<module>.m` (out), float32. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

const endings = { lora: ["lora_a", "lora_b"], dora: ["lora_a", "lora_b", "m"] } as const;
export type MlxKind = keyof typeof endings;

const configName = "adapter_config.json";
/** The file of tensors, by which such a folder is known. */
export const mlxWeightsName = "adapters.safetensors";

/** Writes the folder, weights before configuration, each atomically. */
export const writeMlxAdapter = async (directory: string, adapter: MlxAdapter): Promise<void> => {
  const { kind, layers, rank, scale, dropout, keys, tensors } = adapter;
  await makeFolder(directory);
  await writeSafetensors(join(directory, mlxWeightsName), tensorSources(tensors), { format: "mlx" });
  const config = { fine_tune_type: kind, num_layers: layers, lora_parameters: { rank, scale, dropout, keys } };
  await writeFileAtomically(join(directory, configName), `${sortedJson(config)}\n`);
};

/** Reads the folder; tensors that its kind does not have are errors that name them. */
export const readMlxAdapter = async (directory: string): Promise<MlxAdapter> => {
  const folder = resolve(directory);
  for (const name of [configName, mlxWeightsName])
    if (!(await listFolder(folder)).includes(name))
      throw new LowrankError("not-found", `There is no ${name}.`, { where: folder, fix: "Name the folder of an adapter of mlx-lm." });
  const where = join(folder, configName);
  const config = await readJsonObject(where);
  const kind = configReader(config, where).oneOf("fine_tune_type", Object.keys(endings) as MlxKind[], "lora");
  const parameters = config["lora_parameters"];
  if (!isObject(parameters))
    throw new LowrankError("invalid-config", '"lora_parameters" is no object.', { where, fix: "Copy the adapter's configuration again." });
  const read = configReader(parameters, `${where}, lora_parameters`);
  const { keys = null } = parameters;
  const file = await readSafetensorsHeader(join(folder, mlxWeightsName));
  const tensors = new Map<string, HostTensor>();
  for (const [name, location] of file.tensors) {
    if (!endings[kind].some((ending) => name.endsWith(`.${ending}`)))
      throw new LowrankError("unsupported", "An adapter of mlx-lm has no such tensor, as far as is known here.", {
        where: `${file.path}, tensor ${quoted(name)}`,
        fix: `Names end in ${endings[kind].map((ending) => `.${ending}`).join(", ")}.`,
      });
    tensors.set(name, await readTensorF32(location));
  }
  return {
    kind,
    layers: configReader(config, where).integer("num_layers", 0),
    rank: read.size("rank"),
    scale: read.number("scale"),
    dropout: read.number("dropout", 0),
    keys: Array.isArray(keys) ? keys.map(String) : null,
    tensors,
  };
};
