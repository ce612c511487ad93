/** @file Texts and lists picked from a row, with errors that name the row. It knows nothing about which fields a format has. */
import { LowrankError } from "../../util/index.ts";
import { excerpt, type Row } from "../row.ts";

const kindOf = (value: unknown): string => {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  return `${Array.isArray(value) ? "a list" : `of type ${typeof value}`} (${excerpt(JSON.stringify(value), 30)})`;
};

/** The error for a field that is not what it should be. */
export const wrongField = (row: Row, name: string, value: unknown, wanted: string): LowrankError =>
  new LowrankError("invalid-data", `"${name}" must be ${wanted}, but it is ${kindOf(value)}.`, {
    where: row.where,
    fix: "Correct or remove this row, or name another column with fields.",
  });

/** A field that must be a text. */
export const textField = (row: Row, name: string): string => {
  const value = row.value[name];
  if (typeof value !== "string") throw wrongField(row, name, value, "a text");
  return value;
};

/** A field that may be left out or null, which both count as an empty text. */
export const optionalText = (row: Row, name: string): string => (row.value[name] == null ? "" : textField(row, name));
