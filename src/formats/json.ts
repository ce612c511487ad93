/** @file JSON objects in files. It knows nothing about what their keys mean. */
import { LowrankError, messageOf } from "../util/index.ts";
import { readExactly, withFile } from "./disk.ts";

const largest = 100_000_000;

/** True for a JSON object: not null, not a list. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Parses UTF-8 JSON that must be an object; `what` begins the sentence of the error. */
export const parseJsonObject = (bytes: Uint8Array, where: string, what: string, fix: string): Record<string, unknown> => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new LowrankError("invalid-file", `${what} is not valid JSON: ${messageOf(error)}.`, { where, fix, cause: error });
  }
  if (!isObject(value)) throw new LowrankError("invalid-file", `${what} is not a JSON object.`, { where, fix });
  return value;
};

/** Reads a file of at most 100 MB that holds one JSON object. */
export const readJsonObject = (path: string): Promise<Record<string, unknown>> =>
  withFile(path, async (handle, size) => {
    const fix = "Download or write the file again.";
    if (size > largest)
      throw new LowrankError("invalid-file", `The file has ${size} bytes; at most ${largest} are read.`, { where: path, fix });
    const bytes = new Uint8Array(size);
    await readExactly(handle, bytes, 0, path);
    return parseJsonObject(bytes, path, "The file", fix);
  });

const withSortedKeys = (_key: string, value: unknown): unknown =>
  isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;

/** JSON with an indent of two and every object's keys in order, so that equal objects give equal bytes. */
export const sortedJson = (value: Readonly<Record<string, unknown>>): string => JSON.stringify(value, withSortedKeys, 2);
