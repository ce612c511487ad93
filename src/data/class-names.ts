/** @file The classes that a file's labels name. It knows nothing about texts. */
import { LowrankError } from "../util/index.ts";
import type { FieldNames } from "./format.ts";
import { detectFormat, withFields } from "./format.ts";
import { labelledFormat, labelledPairFormat, usualColumns } from "./formats/labelled.ts";
import { readRows } from "./source.ts";

const formats = { "labelled-pair": labelledPairFormat, labelled: labelledFormat };

// More are hardly classes, but values or texts of another column.
const most = 1000;

/** The distinct labels of a file: in numeric order where all are numbers, otherwise in that of their characters. Fewer than two are `invalid-data`. */
export const classNames = async (path: string, fields: FieldNames = {}): Promise<string[]> => {
  const names = new Set<string>();
  for await (const raw of readRows(path)) {
    const row = withFields(raw, { ...usualColumns(raw), ...fields }, formats);
    names.add(formats[detectFormat(row, formats, fields) as keyof typeof formats].read(row).label);
    if (names.size > most)
      throw new LowrankError("invalid-data", `There are more than ${most} different labels.`, {
        where: path,
        fix: "Name the column of the labels with fields, or learn values instead of classes.",
      });
  }
  if (names.size < 2)
    throw new LowrankError("invalid-data", `All rows have one label: ${[...names].join()}.`, {
      where: path,
      fix: "Give rows of at least two classes.",
    });
  const all = [...names];
  return all.every((name) => Number.isFinite(Number(name))) ? all.sort((a, b) => Number(a) - Number(b)) : all.sort();
};
