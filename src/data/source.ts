/** @file Rows of a data file, a folder of them or a pattern such as `data/part-*.jsonl`, each read by its extension. It knows nothing about data formats. */
import { stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { listFolder } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Row } from "./row.ts";
import { readCsv, readTsv } from "./sources/csv.ts";
import { readJson } from "./sources/json.ts";
import { readJsonl } from "./sources/jsonl.ts";
import { readParquet } from "./sources/parquet.ts";
import { readText } from "./sources/text.ts";

type Source = (path: string) => AsyncIterable<Row>;

const sources: Readonly<Record<string, Source>> = {
  ".jsonl": readJsonl,
  ".ndjson": readJsonl,
  ".json": readJson,
  ".csv": readCsv,
  ".tsv": readTsv,
  ".parquet": readParquet,
  ".txt": readText,
};

const extensions = Object.keys(sources).join(" ");

const sourceOf = (path: string): Source => {
  const source = sources[extname(path).toLowerCase()];
  if (source === undefined)
    throw new LowrankError("unsupported", `Data files end with ${extensions}; this one does not.`, {
      where: path,
      fix: "Rename or convert it.",
    });
  return source;
};

const kindOf = async (path: string): Promise<"file" | "folder" | "missing"> => {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return "missing";
  }
};

/** `*` stands for any characters and `?` for one, in a file name. */
const matcher = (pattern: string): RegExp => {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
};

/** The data files that a path, a folder or a pattern stands for, in order of name. */
export const dataFiles = async (path: string): Promise<string[]> => {
  const kind = await kindOf(path);
  if (kind === "file") return [path];
  const isPattern = kind === "missing" && /[*?]/.test(basename(path));
  if (kind === "missing" && !isPattern)
    throw new LowrankError("not-found", "There is no such data file or folder.", { where: path, fix: "Check the path." });
  const folder = isPattern ? dirname(path) : path;
  const wanted = isPattern ? matcher(basename(path)) : /^[^.]/;
  const names = (await listFolder(folder)).filter((name) => wanted.test(name) && extname(name).toLowerCase() in sources);
  if (names.length === 0)
    throw new LowrankError("not-found", `No data file is here (${extensions}).`, { where: path, fix: "Name the file, or another folder." });
  return names.map((name) => join(folder, name));
};

/**
 * Reads the rows of one or many data files in order. A file without any row is an `invalid-data` error.
 * @example for await (const { value, where } of readRows("data/train.jsonl")) console.log(where, value);
 */
export async function* readRows(path: string): AsyncGenerator<Row> {
  for (const file of await dataFiles(path)) {
    let empty = true;
    for await (const row of sourceOf(file)(file)) {
      empty = false;
      yield row;
    }
    if (empty) throw new LowrankError("invalid-data", "The file is empty.", { where: file, fix: "Put rows into it, or leave it out." });
  }
}
