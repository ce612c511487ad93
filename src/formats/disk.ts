/** @file Opens files and folders, with errors that say what to do. It knows nothing about what they hold. */
import { mkdir, open, readdir, stat, type FileHandle } from "node:fs/promises";
import { LowrankError, messageOf } from "../util/index.ts";

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** What the system refused, in our words; anything else, such as an error of the caller's, stays as it is. */
const failure = (error: unknown, path: string, what: "file" | "folder"): unknown => {
  if (!(error instanceof Error && "syscall" in error)) return error;
  if (codeOf(error) === "ENOENT")
    return new LowrankError("not-found", `There is no such ${what}.`, { where: path, fix: "Check the path.", cause: error });
  return new LowrankError("io-failed", `The ${what} cannot be read: ${messageOf(error)}.`, { where: path, cause: error });
};

/** Opens a regular file for reading, hands it over with its size in bytes, and closes it. */
export const withFile = async <T>(path: string, use: (handle: FileHandle, size: number) => Promise<T>): Promise<T> => {
  try {
    // Asked before opening, because opening a pipe would wait for its writer.
    const stats = await stat(path);
    if (!stats.isFile()) throw new LowrankError("invalid-file", "This is not a file.", { where: path, fix: "Name the file itself." });
    const handle = await open(path, "r");
    try {
      return await use(handle, stats.size);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw failure(error, path, "file");
  }
};

/** Reads `target.length` bytes at `offset`; a file that ends before that is an error. */
export const readExactly = async (handle: FileHandle, target: Uint8Array, offset: number, path: string): Promise<void> => {
  const most = 2 ** 30; // one read of Node takes less than 2 GiB
  for (let done = 0; done < target.length;) {
    const { bytesRead } = await handle.read(target, done, Math.min(target.length - done, most), offset + done);
    if (bytesRead === 0)
      throw new LowrankError("invalid-file", `The file ended at byte ${offset + done}, where ${target.length - done} more were expected.`, {
        where: path,
        fix: "It changed while it was read; run again.",
      });
    done += bytesRead;
  }
};

/** A file's UTF-8 text. */
export const readText = (path: string): Promise<string> => withFile(path, (handle) => handle.readFile("utf8"));

/** The names in a folder, sorted. */
export const listFolder = async (path: string): Promise<string[]> => {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (codeOf(error) === "ENOTDIR")
      throw new LowrankError("not-found", "This is a file where a folder is expected.", { where: path, fix: "Name the folder it is in." });
    throw failure(error, path, "folder");
  }
};

/** Makes a folder and those above it. */
export const makeFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw new LowrankError("io-failed", `The folder cannot be made: ${messageOf(error)}.`, {
      where: path,
      fix: "Choose another folder or correct its permissions.",
      cause: error,
    });
  }
};
