/** @file Opens and writes model checkpoints in Hugging Face's layout, in one file or in shards. It knows nothing about architectures. */
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { LowrankError } from "../util/index.ts";
import { writeFileAtomically } from "./atomic.ts";
import { withoutPacking } from "./bitsandbytes.ts";
import { listFolder, makeFolder, readText } from "./disk.ts";
import { isObject, readJsonObject, sortedJson } from "./json.ts";
import { spelledJson } from "./json-numbers.ts";
import { pickleRefused, quoted, type TensorLocation } from "./safetensors-header.ts";
import { bytesOf, writeSafetensors, type TensorSource } from "./safetensors-write.ts";
import { readSafetensorsHeader } from "./safetensors.ts";

/** A model on disk: its configuration and where its tensors are. */
export interface Checkpoint {
  readonly directory: string;
  /** `config.json` as it stands, but for a packing that is undone. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, TensorLocation>;
}

const configName = "config.json";
const singleName = "model.safetensors";
const indexName = "model.safetensors.index.json";
const weightsName = /^model(-\d{5,}-of-\d{5,})?\.safetensors(\.index\.json)?$/;
const pickleName = /\.(bin|pt|pth|ckpt)$/;

const weightMap = async (path: string): Promise<[name: string, file: string][]> => {
  const { weight_map: map } = await readJsonObject(path);
  if (!isObject(map)) throw new LowrankError("invalid-file", "The index has no weight_map.", { where: path, fix: "Download it again." });
  return Object.entries(map).map(([name, file]) => {
    // A name with a separator could lead out of the folder; the layout has no need of one.
    if (typeof file !== "string" || file === "" || /[\\/\0]/.test(file) || file === "." || file === "..")
      throw new LowrankError(
        "invalid-file",
        `The index places ${quoted(name)} in ${JSON.stringify(file)}, which is no file of this folder.`,
        {
          where: path,
          fix: "Download the index again from a source that you trust.",
        },
      );
    return [name, file];
  });
};

const openShards = async (folder: string, present: readonly string[]): Promise<Map<string, TensorLocation>> => {
  const where = join(folder, indexName);
  const places = await weightMap(where);
  const files = [...new Set(places.map(([, file]) => file))].sort();
  const missing = files.filter((file) => !present.includes(file));
  if (missing.length > 0)
    throw new LowrankError("not-found", `Missing beside the index: ${missing.join(", ")}.`, { where, fix: "Download these files." });
  const tensors = new Map<string, TensorLocation>();
  for (const file of files)
    for (const [name, location] of (await readSafetensorsHeader(join(folder, file))).tensors) {
      const other = tensors.get(name);
      if (other !== undefined)
        throw new LowrankError("invalid-file", `${other.path} holds the tensor ${quoted(name)} as well.`, {
          where: location.path,
          fix: "Download the checkpoint into an empty folder.",
        });
      tensors.set(name, location);
    }
  for (const [name, file] of places)
    if (tensors.get(name)?.path !== join(folder, file))
      throw new LowrankError("invalid-file", `The index places ${quoted(name)} in ${file}, which does not hold it.`, {
        where,
        fix: "Download the checkpoint into an empty folder.",
      });
  return tensors;
};

const noWeights = (folder: string, present: readonly string[]): LowrankError => {
  const pickle = present.find((name) => pickleName.test(name));
  if (pickle !== undefined) return pickleRefused(join(folder, pickle), singleName);
  return new LowrankError("not-found", `There is neither ${singleName} nor ${indexName}.`, {
    where: folder,
    fix: "Download the model's safetensors files.",
  });
};

/**
 * Opens a folder with `config.json` and `model.safetensors`, or shards and their index; every header is checked and no tensor is read but what says how others are packed.
 * @example const { config, tensors } = await openCheckpoint("models/SmolLM2-135M");
 */
export const openCheckpoint = async (directory: string): Promise<Checkpoint> => {
  const folder = resolve(directory);
  const present = await listFolder(folder);
  if (!present.includes(configName))
    throw new LowrankError("not-found", `There is no ${configName}.`, {
      where: folder,
      fix: present.includes("adapter_config.json")
        ? "This folder holds an adapter; name the folder of its base model."
        : "Name a folder with a model in Hugging Face's layout.",
    });
  const config = await readJsonObject(join(folder, configName));
  if (present.includes(singleName)) {
    const { tensors } = await readSafetensorsHeader(join(folder, singleName));
    return { directory: folder, ...(await withoutPacking(config, tensors)) };
  }
  if (!present.includes(indexName)) throw noWeights(folder, present);
  return { directory: folder, ...(await withoutPacking(config, await openShards(folder, present))) };
};

export interface CheckpointContent {
  readonly config: Readonly<Record<string, unknown>>;
  /** Folder of a checkpoint whose `config.json` decides how numbers are spelled (30.0, 1e-05) that both have; default none. */
  readonly spelledAs?: string;
  /** In the order in which shards take them. */
  readonly tensors: readonly TensorSource[];
  /** Tensor bytes that a shard takes at most, unless one tensor alone has more; 5 GB by default. */
  readonly shardBytes?: number;
  /** `{ format: "pt" }` by default. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const inShards = (tensors: readonly TensorSource[], limit: number): TensorSource[][] => {
  const shards: TensorSource[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (filled > 0 && filled + bytes > limit) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(tensor);
    filled += bytes;
  }
  return shards;
};

/**
 * Writes a checkpoint, streaming one tensor at a time, then removes weight files that an earlier one left in the folder.
 * The sources must not read from the files of that folder when there are several shards.
 */
export const writeCheckpoint = async (directory: string, content: CheckpointContent): Promise<void> => {
  const { config, spelledAs, tensors, shardBytes = 5e9, metadata = { format: "pt" } } = content;
  const json = spelledAs === undefined ? sortedJson(config) : spelledJson(config, await readText(join(spelledAs, configName)));
  await makeFolder(directory);
  const shards = inShards(tensors, shardBytes);
  const number = (value: number): string => String(value).padStart(5, "0");
  const written = shards.map((_, shard) =>
    shards.length === 1 ? singleName : `model-${number(shard + 1)}-of-${number(shards.length)}.safetensors`,
  );
  for (const [shard, name] of written.entries()) await writeSafetensors(join(directory, name), shards[shard], metadata);
  if (shards.length > 1) {
    const places = shards.flatMap((shard, index) => shard.map(({ name }) => [name, written[index]] as const));
    const index = {
      metadata: { total_size: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0) },
      weight_map: Object.fromEntries(places),
    };
    await writeFileAtomically(join(directory, indexName), `${sortedJson(index)}\n`);
    written.push(indexName);
  }
  await writeFileAtomically(join(directory, configName), `${json}\n`);
  for (const name of await listFolder(directory))
    if (weightsName.test(name) && !written.includes(name)) await rm(join(directory, name), { force: true });
};
