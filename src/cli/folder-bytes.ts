/** @file Sizes of files in a folder. It knows nothing about what they hold. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { listFolder } from "../formats/index.ts";

/** Bytes that the files of a folder whose names match take together. */
export const folderBytes = async (folder: string, names: RegExp): Promise<number> => {
  let bytes = 0;
  for (const name of await listFolder(folder)) if (names.test(name)) bytes += (await stat(join(folder, name))).size;
  return bytes;
};
