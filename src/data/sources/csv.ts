/** @file Rows of a `.csv` file with a header line (RFC 4180), read as a stream. It knows nothing about data formats. */
import { pipeline, Readable } from "node:stream";
import { parse } from "csv-parse";
import { LowrankError, messageOf } from "../../util/index.ts";
import type { Row } from "../row.ts";
import { decodedText } from "./lines.ts";

interface Parsed {
  readonly record: Record<string, string>;
  readonly info: { readonly lines: number };
}

const checkHeader = (header: readonly string[], path: string): string[] => {
  const twice = header.find((name, index) => header.indexOf(name) !== index);
  if (twice !== undefined)
    throw new LowrankError("invalid-data", `Two columns are named ${JSON.stringify(twice)}.`, {
      where: `${path}:1`,
      fix: "Rename one; the first line of a .csv file names the columns.",
    });
  return [...header];
};

/** Reads row by row; a row with more or fewer values than the header is an error with its line. Rows are placed at their last line. */
export async function* readCsv(path: string): AsyncGenerator<Row> {
  const columns = (header: string[]): string[] => checkHeader(header, path);
  const parser = parse({ columns, info: true, skip_empty_lines: true });
  const rows = pipeline(Readable.from(decodedText(path)), parser, () => {}) as AsyncIterable<Parsed>;
  try {
    for await (const { record, info } of rows) yield { value: record, where: `${path}:${info.lines}` };
  } catch (error) {
    if (LowrankError.is(error)) throw error;
    const line = (error as { lines?: number }).lines;
    throw new LowrankError("invalid-data", `The table is broken: ${messageOf(error)}.`, {
      where: line === undefined ? path : `${path}:${line}`,
      fix: "Put values with commas, quotes or line breaks in double quotes, and double the quotes inside them.",
      cause: error,
    });
  }
}
