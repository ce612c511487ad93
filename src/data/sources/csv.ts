/** @file Rows of a `.csv` file (RFC 4180) or a `.tsv` file, each with a header line, read as a stream. It knows nothing about data formats. */
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
      fix: "Rename one; the first line names the columns.",
    });
  return [...header];
};

interface Dialect {
  readonly delimiter: string;
  readonly quote: string | false;
  /** What to do about a broken row. */
  readonly fix: string;
}

async function* readTable(path: string, { delimiter, quote, fix }: Dialect): AsyncGenerator<Row> {
  const columns = (header: string[]): string[] => checkHeader(header, path);
  const parser = parse({ columns, delimiter, quote, info: true, skip_empty_lines: true });
  const rows = pipeline(Readable.from(decodedText(path)), parser, () => {}) as AsyncIterable<Parsed>;
  try {
    for await (const { record, info } of rows) yield { value: record, where: `${path}:${info.lines}` };
  } catch (error) {
    if (LowrankError.is(error)) throw error;
    const line = (error as { lines?: number }).lines;
    throw new LowrankError("invalid-data", `The table is broken: ${messageOf(error)}.`, {
      where: line === undefined ? path : `${path}:${line}`,
      fix,
      cause: error,
    });
  }
}

/** Reads row by row; a row with more or fewer values than the header is an error with its line. Rows are placed at their last line. */
export const readCsv = (path: string): AsyncGenerator<Row> =>
  readTable(path, {
    delimiter: ",",
    quote: '"',
    fix: "Put values with commas, quotes or line breaks in double quotes, and double the quotes inside them.",
  });

/** The same with tabs between values, in which quotes mean nothing. */
export const readTsv = (path: string): AsyncGenerator<Row> =>
  readTable(path, { delimiter: "\t", quote: false, fix: "Put each row on a line of its own, with a tab between values." });
