/** @file Rows of a `.parquet` file, one row group in memory at a time. It knows nothing about data formats. */
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { isObject } from "../../formats/index.ts";
import { LowrankError, messageOf } from "../../util/index.ts";
import type { Row } from "../row.ts";

/** Values as JSON has them: 64-bit integers become numbers, days and times become texts. */
const plain = (value: unknown): unknown => {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)])) : value;
};

/** Reads row group by row group; rows are counted from 1. */
export async function* readParquet(path: string): AsyncGenerator<Row> {
  let rowStart = 0;
  try {
    const file = await asyncBufferFromFile(path);
    const metadata = await parquetMetadataAsync(file);
    for (const { num_rows: count } of metadata.row_groups) {
      const rowEnd = rowStart + Number(count);
      const values = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd });
      for (const value of values) yield { value: plain(value) as Row["value"], where: `${path}: row ${++rowStart}` };
    }
  } catch (error) {
    throw new LowrankError("invalid-data", `The Parquet file cannot be read after row ${rowStart}: ${messageOf(error)}.`, {
      where: path,
      fix: "Download or write it again.",
      cause: error,
    });
  }
}
