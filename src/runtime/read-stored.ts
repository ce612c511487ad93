/** @file Reads a stored weight from its file, for backends that do not map files. It knows nothing about programs. */
import { closeSync, openSync, readSync } from "node:fs";
import type { WeightLocation } from "../graph/index.ts";
import { dtypes, LowrankError, messageOf, type TypedArray } from "../util/index.ts";

// One call reads 2 GiB at most.
const most = 2 ** 30;

const readBytes = (path: string, offset: number, bytes: number): ArrayBuffer => {
  const content = new Uint8Array(bytes);
  const file = openSync(path, "r");
  try {
    for (let done = 0; done < bytes;) {
      const count = readSync(file, content, done, Math.min(bytes - done, most), offset + done);
      if (count === 0) throw new Error(`only ${done} of ${bytes} bytes are there`);
      done += count;
    }
  } finally {
    closeSync(file);
  }
  return content.buffer;
};

/** The values of a weight; throws `backend-failed` where its file does not have them. */
export const readStored = (name: string, { path, offset, bytes, dtype }: WeightLocation): TypedArray => {
  try {
    return new dtypes[dtype].array(readBytes(path, offset, bytes));
  } catch (error) {
    throw new LowrankError("backend-failed", `A weight cannot be read: ${messageOf(error)}.`, {
      where: `${path}, tensor ${name}`,
      cause: error,
    });
  }
};
