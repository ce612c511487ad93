/** @file The data formats by name, and which one a file has. It knows nothing about how each one reads a row. */
import { LowrankError } from "../util/index.ts";
import { alpacaFormat } from "./formats/alpaca.ts";
import { chatFormat } from "./formats/chat.ts";
import { completionFormat } from "./formats/completion.ts";
import type { DataFormat } from "./formats/parsed.ts";
import { sharegptFormat } from "./formats/sharegpt.ts";
import { textFormat } from "./formats/text.ts";
import type { Row } from "./row.ts";

/** In the order in which they are tried. */
export const dataFormats = {
  chat: chatFormat,
  sharegpt: sharegptFormat,
  completion: completionFormat,
  alpaca: alpacaFormat,
  text: textFormat,
} as const satisfies Record<string, DataFormat>;

export type FormatName = keyof typeof dataFormats;

/** Which column of the file takes the place of a field, for example `{ prompt: "question", completion: "answer" }`. */
export type FieldNames = Readonly<Record<string, string>>;

const formatNames = Object.keys(dataFormats) as FormatName[];
const optionalFields = ["input", "system", "tools"];
const knownFields = [...new Set([...formatNames.flatMap((name) => dataFormats[name].fields), ...optionalFields])];

/** A row whose columns have the names of the fields. */
export const withFields = ({ value, where }: Row, fields: FieldNames): Row => {
  const renamed = Object.entries(fields).map(([field, column]) => {
    if (!knownFields.includes(field))
      throw new LowrankError("invalid-argument", `There is no field ${JSON.stringify(field)}.`, {
        fix: `Choose from ${knownFields.join(", ")}.`,
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

const described = (): string => formatNames.map((name) => `${name} (${dataFormats[name].fields.join(" and ")})`).join(", ");

/** The format of a row, by its fields; with `fields`, those must be among the format's. A row that fits none is an error with the columns found. */
export const detectFormat = (row: Row, fields: FieldNames = {}): FormatName => {
  const fits = (name: FormatName): boolean => {
    const format: DataFormat = dataFormats[name];
    const named = Object.keys(fields).every((field) => format.fields.includes(field) || optionalFields.includes(field));
    return named && format.fields.every((field) => Object.hasOwn(row.value, field));
  };
  const name = formatNames.find(fits);
  if (name !== undefined) return name;
  throw new LowrankError("invalid-data", `No data format has the columns ${Object.keys(row.value).join(", ") || "(none)"}.`, {
    where: row.where,
    fix: `Known formats: ${described()}. Rename the columns, or say which column is which with fields.`,
  });
};
