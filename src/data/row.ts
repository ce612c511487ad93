/** @file One row of a data file: named values and where they stand. It knows nothing about file types or data formats. */
import { isObject } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";

export interface Row {
  readonly value: Readonly<Record<string, unknown>>;
  /** `train.jsonl:17`: file and line, or file and row. */
  readonly where: string;
}

/** The beginning of a text, on one line, for error messages. */
export const excerpt = (text: string, length = 60): string => {
  const line = text.slice(0, length + 1).replaceAll(/\s+/g, " ");
  return line.length > length ? `${line.slice(0, length)}…` : line;
};

/** A parsed value as a row; a bare text is a row with `text`. */
export const asRow = (value: unknown, where: string): Row => {
  if (typeof value === "string") return { value: { text: value }, where };
  if (isObject(value)) return { value, where };
  throw new LowrankError("invalid-data", `A row must be an object or a text, but this one is ${excerpt(JSON.stringify(value))}.`, {
    where,
    fix: `Write it as an object such as {"text": "…"}, or remove it.`,
  });
};
