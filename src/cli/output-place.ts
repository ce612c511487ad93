/** @file Where a command writes: a folder or a file that is not there yet, unless it may be written over. It knows nothing about what is written. */
import { stat } from "node:fs/promises";
import { listFolder } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";

const missingAsEmpty = (error: unknown): string[] => {
  if (LowrankError.is(error) && error.code === "not-found") return [];
  throw error;
};

/** Throws `invalid-argument` for a folder with anything in it, unless forced. */
export const checkOutputFolder = async (output: string, force: boolean): Promise<void> => {
  if (force || (await listFolder(output).catch(missingAsEmpty)).length === 0) return;
  throw new LowrankError("invalid-argument", "The folder is not empty.", {
    where: output,
    fix: "Choose another folder with --output, or pass --force to write into this one.",
  });
};

/** Throws `invalid-argument` for a file that is there, unless forced, and for a folder. */
export const checkOutputFile = async (output: string, force: boolean): Promise<void> => {
  const stats = await stat(output).catch(() => undefined);
  if (stats === undefined || (force && stats.isFile())) return;
  throw new LowrankError("invalid-argument", stats.isFile() ? "The file is there already." : "This is a folder; a file is written.", {
    where: output,
    fix: stats.isFile() ? "Choose another name with --output, or pass --force to replace it." : "Name a file with --output.",
  });
};
