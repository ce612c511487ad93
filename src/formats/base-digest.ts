/** @file The digest of a checkpoint's tensors, whatever files hold them, remembered between runs. It knows nothing about adapters. */
import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "./atomic.ts";
import { cacheDirectory } from "./cache-directory.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { makeFolder, withFile } from "./disk.ts";
import { readJsonObject } from "./json.ts";
import type { TensorLocation } from "./safetensors-header.ts";
import { compareNames } from "./safetensors-write.ts";
import { tensorChunks } from "./safetensors.ts";

type Tensors = ReadonlyMap<string, TensorLocation>;

const sorted = (tensors: Tensors): [string, TensorLocation][] => [...tensors].sort(([a], [b]) => compareNames(a, b));

/** A word for the tensors' places and the files as they lie on disk: it changes when any of them does. */
const identityOf = async (tensors: Tensors): Promise<string> => {
  const files = new Map<string, unknown>();
  for (const path of new Set(Array.from(tensors.values(), (location) => location.path))) {
    const { size, mtimeMs, ino } = await withFile(path, (handle) => handle.stat());
    files.set(path, [await realpath(path), size, mtimeMs, ino]);
  }
  const hash = createHash("sha256");
  for (const [name, { path, dtype, shape, offset }] of sorted(tensors))
    hash.update(`${JSON.stringify([name, dtype, shape, offset, files.get(path)])}\n`);
  return hash.digest("hex");
};

const contentDigest = async (tensors: Tensors): Promise<string> => {
  const hash = createHash("sha256");
  for (const [name, location] of sorted(tensors)) {
    hash.update(`${JSON.stringify([name, location.dtype, location.shape])}\n`);
    for await (const chunk of tensorChunks(location)) hash.update(chunk);
  }
  return `sha256:${hash.digest("hex")}`;
};

const recall = async (memo: string): Promise<string | undefined> => {
  try {
    const { digest } = await readJsonObject(memo);
    return typeof digest === "string" && /^sha256:[0-9a-f]{64}$/.test(digest) ? digest : undefined;
  } catch {
    return undefined;
  }
};

const remember = async (folder: string, memo: string, digest: string): Promise<void> => {
  try {
    await makeFolder(folder);
    await writeFileAtomically(memo, `${JSON.stringify({ digest })}\n`);
  } catch {
    // The memo only saves time; a cache that cannot be written must not fail a run.
  }
};

/**
 * `sha256:` and the digest over (name, dtype, shape, bytes) of every tensor by name, so that shards and file names do not matter.
 * The first call reads everything with 4 MiB of memory; later ones find it by path, size, time and inode of the files.
 */
export const baseDigest = async ({ tensors }: Pick<Checkpoint, "tensors">): Promise<string> => {
  const folder = join(cacheDirectory(), "digests");
  const memo = join(folder, `${await identityOf(tensors)}.json`);
  const known = await recall(memo);
  if (known !== undefined) return known;
  const digest = await contentDigest(tensors);
  await remember(folder, memo, digest);
  return digest;
};
