/** @file Which of some data formats a file has, and its columns by the formats' names. It knows no format. */
import { LowrankError } from "../util/index.ts";
import type { DataFormat } from "./formats/parsed.ts";
import type { Row } from "./row.ts";

/** Formats by name, in the order in which they are tried. */
export type DataFormats = Readonly<Record<string, DataFormat<unknown>>>;

/** Which column of the file takes the place of a field, for example `{ prompt: "question", completion: "answer" }`. */
export type FieldNames = Readonly<Record<string, string>>;

const optionalFields = ["input", "system", "tools"];

const fieldsOf = (formats: DataFormats): string[] => [
  ...new Set([...Object.values(formats).flatMap(({ fields }) => fields), ...optionalFields]),
];

/** A row whose columns have the names of the formats' fields. */
export const withFields = ({ value, where }: Row, fields: FieldNames, formats: DataFormats): Row => {
  const known = fieldsOf(formats);
  const renamed = Object.entries(fields).map(([field, column]) => {
    if (!known.includes(field))
      throw new LowrankError("invalid-argument", `There is no field ${JSON.stringify(field)}.`, {
        fix: `Choose from ${known.join(", ")}.`,
      });
    if (!Object.hasOwn(value, column))
      throw new LowrankError("invalid-data", `There is no column ${JSON.stringify(column)} for the field "${field}".`, {
        where,
        fix: `The columns are ${Object.keys(value).join(", ")}.`,
      });
    return [field, value[column]] as const;
  });
  return { value: { ...value, ...Object.fromEntries(renamed) }, where };
};

/** The first format that a row fits, by its fields; with `fields`, those must be among the format's. */
export const fittingFormat = (row: Row, formats: DataFormats, fields: FieldNames = {}): string | undefined =>
  Object.keys(formats).find((name) => {
    const format = formats[name];
    const named = Object.keys(fields).every((field) => format.fields.includes(field) || optionalFields.includes(field));
    return named && format.fields.every((field) => Object.hasOwn(row.value, field)) && format.fits?.(row) !== false;
  });

/** The format of a row, as `fittingFormat` finds it. A row that fits none is an error with the columns found. */
export const detectFormat = (row: Row, formats: DataFormats, fields: FieldNames = {}): string => {
  const name = fittingFormat(row, formats, fields);
  if (name !== undefined) return name;
  const described = Object.entries(formats).map(([known, format]) => `${known} (${format.fields.join(" and ")})`);
  throw new LowrankError("invalid-data", `No data format has the columns ${Object.keys(row.value).join(", ") || "(none)"}.`, {
    where: row.where,
    fix: `Known formats: ${described.join(", ")}. Rename the columns, or say which column is which with fields.`,
  });
};

/** A format by its name; an unknown one is an error with those there are. */
export const formatNamed = <P>(name: string, formats: Readonly<Record<string, DataFormat<P>>>): DataFormat<P> => {
  if (Object.hasOwn(formats, name)) return formats[name];
  throw new LowrankError("invalid-argument", `The format ${JSON.stringify(name)} is none of those that this loss learns from.`, {
    fix: `Choose from ${Object.keys(formats).join(", ")}.`,
  });
};
