/** @file Writes files so that a reader sees the old bytes or the new ones, never half of them. It knows nothing about what the bytes mean. */
import { randomUUID } from "node:crypto";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { LowrankError, messageOf } from "../util/index.ts";

const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/**
 * Calls `write` with a handle beside `path`, then syncs and renames it into place.
 * A failure removes the half-written file, leaves what was at `path` alone and is thrown as `io-failed`.
 */
export const writeAtomically = async (path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> => {
  const aside = `${path}.${randomUUID()}.partial`;
  try {
    const handle = await open(aside, "w");
    try {
      await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(aside, { force: true });
    if (LowrankError.is(error)) throw error;
    const full = (error as NodeJS.ErrnoException).code === "ENOSPC";
    throw new LowrankError("io-failed", full ? "The disk is full." : `Writing failed: ${messageOf(error)}.`, {
      where: path,
      fix: full ? "Free some space and run again; what was there before is unchanged." : "Check that the folder exists and can be written.",
      cause: error,
    });
  }
};

/** Writes one text or byte array atomically. */
export const writeFileAtomically = (path: string, content: string | Uint8Array): Promise<void> =>
  writeAtomically(path, async (handle) => {
    await handle.writeFile(content);
  });
