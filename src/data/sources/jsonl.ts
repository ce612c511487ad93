/** @file Rows of a `.jsonl` file, one JSON value per line, read as a stream. It knows nothing about data formats. */
import { LowrankError, messageOf } from "../../util/index.ts";
import { asRow, excerpt, type Row } from "../row.ts";
import { readLines } from "./lines.ts";

const parse = (text: string, where: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    const fix =
      text.trimEnd() === "[" || text.trimEnd() === "{"
        ? "It looks like a JSON document over many lines: rename the file to .json, or write one object per line."
        : "Correct or remove this line; each line must be one whole JSON object.";
    throw new LowrankError("invalid-data", `This line is not valid JSON: ${messageOf(error)}. It begins: ${excerpt(text)}`, {
      where,
      fix,
      cause: error,
    });
  }
};

/** Reads line by line; blank lines are passed over, and a broken one is an error with its number. */
export async function* readJsonl(path: string): AsyncGenerator<Row> {
  for await (const { text, number } of readLines(path)) {
    const where = `${path}:${number}`;
    if (text.trim() !== "") yield asRow(parse(text, where), where);
  }
}
