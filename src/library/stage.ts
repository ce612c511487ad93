/** @file Copies an adapter into a library's `aside`, checked and hashed, ready to be put in its place. It knows nothing about names or records. */
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { listFolder, readJsonObject, readSafetensorsHeader, readTensorF32, type SafetensorsFile } from "../formats/index.ts";
import { LowrankError, sizeOf } from "../util/index.ts";
import { adapterDigest, digestFile, type FileDigest } from "./digest.ts";
import { baseKey } from "./folder-digest.ts";
import { ioFailed } from "./io-failed.ts";
import { asidePath, syncFolder } from "./layout.ts";
import { adapterFiles, type AdapterFacts, type AdapterFile } from "./record.ts";

/** An adapter that lies in `aside` as a whole. */
export interface StagedAdapter {
  readonly path: string;
  readonly digest: string;
  readonly files: Readonly<Record<AdapterFile, FileDigest>>;
  readonly facts: AdapterFacts;
  /** Digest of its base, null where nobody says. */
  readonly base: string | null;
  /** The base's name, as the configuration gives it. */
  readonly baseName: string | null;
}

const checkFolder = async (directory: string): Promise<void> => {
  const present = await listFolder(directory);
  const absent = adapterFiles.filter((name) => !present.includes(name));
  if (absent.length === 0) return;
  throw new LowrankError("not-found", `There is no ${absent.join(" and no ")}.`, {
    where: directory,
    fix: present.includes("config.json")
      ? "This folder holds a model; name the folder of an adapter."
      : "Name a folder with an adapter in PEFT's layout, with safetensors.",
  });
};

/** Copies one file with 1 MiB of memory, through to the disk. Nobody writes to it again. */
const copyHashed = async (from: string, to: string): Promise<FileDigest> => {
  const handle = await open(to, "wx", 0o444);
  try {
    const digest = await digestFile(from, async (chunk) => {
      await handle.writeFile(chunk);
    });
    await handle.sync();
    return digest;
  } finally {
    await handle.close();
  }
};

const numberOr = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);
const textOr = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);

/** With every factor but A at zero the update is zero. */
const checkEffect = async ({ tensors }: SafetensorsFile, where: string): Promise<void> => {
  for (const [key, location] of tensors) {
    if (/\.lora_(A\.weight|embedding_A)$/.test(key)) continue;
    const { data } = await readTensorF32(location);
    if ((data as Float32Array).some((value) => value !== 0)) return;
  }
  throw new LowrankError("adapter-mismatch", "The adapter has no effect: every B is zero.", { where, fix: "Train it first." });
};

/**
 * Looks through the files of an adapter at `path`, which were hashed as they were written there.
 * `base` is the digest of the base where the caller knows it; weights that name another one are `adapter-mismatch`.
 */
export const inspectStaged = async (
  path: string,
  files: Readonly<Record<AdapterFile, FileDigest>>,
  { base: given = null, where = path }: { readonly base?: string | null; readonly where?: string } = {},
): Promise<StagedAdapter> => {
  const config = await readJsonObject(join(path, "adapter_config.json"));
  const kind = textOr(config["peft_type"]);
  if (kind === null)
    throw new LowrankError("invalid-config", '"peft_type" is missing.', {
      where: join(where, "adapter_config.json"),
      fix: "Only PEFT's adapters are kept.",
    });
  const header = await readSafetensorsHeader(join(path, "adapter_model.safetensors"));
  await checkEffect(header, where);
  const recorded = textOr(header.metadata[baseKey]);
  if (given !== null && recorded !== null && given !== recorded)
    throw new LowrankError(
      "adapter-mismatch",
      `The adapter was trained on the base ${recorded.slice(0, 19)}…, not on ${given.slice(0, 19)}….`,
      {
        where,
        fix: "Name the base that it was trained on, or none.",
      },
    );
  const base = given ?? recorded;
  return {
    path,
    digest: adapterDigest({ weights: files["adapter_model.safetensors"].sha256, config, base }),
    files,
    facts: {
      kind,
      rank: numberOr(config["r"]),
      alpha: numberOr(config["lora_alpha"]),
      parameters: [...header.tensors.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    },
    base,
    baseName: textOr(config["base_model_name_or_path"]),
  };
};

/** Copies the adapter in `directory` into `aside` of a library. */
export const stageAdapter = async (library: string, directory: string, base: string | null = null): Promise<StagedAdapter> => {
  await checkFolder(directory);
  const path = asidePath(library);
  await mkdir(path).catch((error: unknown) => Promise.reject(ioFailed(error, library)));
  try {
    const digests = await Promise.all(adapterFiles.map((name) => copyHashed(join(directory, name), join(path, name))));
    await syncFolder(path);
    const files = Object.fromEntries(adapterFiles.map((name, index) => [name, digests[index]])) as Record<AdapterFile, FileDigest>;
    return await inspectStaged(path, files, { base, where: directory });
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw ioFailed(error, library);
  }
};
