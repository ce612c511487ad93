/** @file Rows of a `.json` file: a list, or an object with one list in it. It knows nothing about data formats. */
import { isObject } from "../../formats/index.ts";
import { LowrankError, messageOf } from "../../util/index.ts";
import { asRow, type Row } from "../row.ts";
import { decodedText } from "./lines.ts";

const parse = (text: string, path: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(messageOf(error))?.[1];
    const line = position === undefined ? "" : `:${text.slice(0, Number(position)).split("\n").length}`;
    throw new LowrankError("invalid-data", `The file is not valid JSON: ${messageOf(error)}.`, {
      where: path + line,
      fix: "Correct it there; if each line is an object of its own, rename the file to .jsonl.",
      cause: error,
    });
  }
};

interface NamedList {
  readonly list: readonly unknown[];
  /** The key that holds the list; empty where the list is all there is. */
  readonly name: string;
}

const listIn = (value: unknown, path: string): NamedList => {
  if (Array.isArray(value)) return { list: value, name: "" };
  const lists = isObject(value) ? Object.entries(value).filter((entry): entry is [string, unknown[]] => Array.isArray(entry[1])) : [];
  if (lists.length === 1) return { list: lists[0][1], name: lists[0][0] };
  const found = isObject(value) ? `an object with ${lists.length} lists (keys: ${Object.keys(value).join(", ")})` : `a ${typeof value}`;
  throw new LowrankError("invalid-data", `The file holds no list of rows, but ${found}.`, {
    where: path,
    fix: "Write the rows as one JSON list, or one object per line in a .jsonl file.",
  });
};

/** Reads the whole file; row 3 of the list `examples` stands at `file.json: examples[3]`, counted from 0. */
export async function* readJson(path: string): AsyncGenerator<Row> {
  let text = "";
  for await (const piece of decodedText(path)) text += piece;
  if (text.trim() === "") return;
  const { list, name } = listIn(parse(text, path), path);
  for (const [index, value] of list.entries()) yield asRow(value, `${path}: ${name}[${index}]`);
}
