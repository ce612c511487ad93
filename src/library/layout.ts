/** @file Where everything lies in a library's folder. It knows nothing about what the files hold. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";

/** The file that makes a folder a library. */
export const markerName = "library.json";
export const lockName = "lock";
export const indexFolderName = "index";
export const shardsName = "adapters";
export const asideName = "aside";

/** True for a folder that a library was made in. */
export const hasLibrary = (library: string): boolean => existsSync(join(library, markerName));

const hexOf = (digest: string): string => digest.slice("sha256:".length);

/** Adapters lie in 256 folders, by the first two digits of their digests: `3f`. */
export const shardOf = (digest: string): string => hexOf(digest).slice(0, 2);

/** `adapters/3f`, which holds the adapters of a shard and their records. */
export const shardPath = (library: string, shard: string): string => join(library, shardsName, shard);

/** `adapters/3f/3f2a…`: an adapter as PEFT reads it; complete or absent. */
export const adapterPath = (library: string, digest: string): string => join(shardPath(library, shardOf(digest)), hexOf(digest));

/** `adapters/3f/3f2a….json`: what is known of it. */
export const recordPath = (library: string, digest: string): string => `${adapterPath(library, digest)}.json`;

/** The digest that the name of a record's file or of an adapter's folder stands for. */
export const digestOfEntry = (name: string): string | undefined => {
  const [, hex] = /^([0-9a-f]{64})(?:\.json)?$/.exec(name) ?? [];
  return hex === undefined ? undefined : `sha256:${hex}`;
};

/** A new path in `aside`, where things are written that are not there yet. */
export const asidePath = (library: string): string => join(library, asideName, randomUUID());

/** Writes a folder's entries through to the disk. */
export const syncFolder = async (path: string): Promise<void> => {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};
