/** @file `text` and `label`, or `text`, `second` and `label`: texts to be classified or valued. It knows nothing about which labels there are. */
import type { Texts } from "../document.ts";
import type { FieldNames } from "../format.ts";
import type { Row } from "../row.ts";
import { textField, wrongField } from "./fields.ts";
import type { DataFormat } from "./parsed.ts";

export interface ParsedLabel {
  readonly texts: Texts;
  /** As the file spells it. */
  readonly label: string;
  /** The row, for errors about the label. */
  readonly row: Row;
}

const labelOf = (row: Row): string => {
  const label = row.value["label"];
  if (typeof label === "number" || typeof label === "boolean") return String(label);
  if (typeof label !== "string" || label.trim() === "") throw wrongField(row, "label", label, "a text, a number or true or false");
  return label.trim();
};

export const labelledFormat: DataFormat<ParsedLabel> = {
  fields: ["text", "label"],
  learns: ["label"],
  read: (row) => ({ texts: [textField(row, "text")], label: labelOf(row), row }),
};

export const labelledPairFormat: DataFormat<ParsedLabel> = {
  fields: ["text", "second", "label"],
  learns: ["label"],
  read: (row) => ({ texts: [textField(row, "text"), textField(row, "second")], label: labelOf(row), row }),
};

// What public data sets call the columns, the likelier first.
const usualNames: Readonly<Record<string, readonly string[]>> = {
  text: ["text", "sentence", "sentence1", "text1", "premise", "question1", "content", "message", "review", "sms"],
  second: ["second", "text_pair", "sentence2", "text2", "hypothesis", "question2"],
  label: ["label", "labels", "class", "category", "target", "sentiment", "score", "rating", "value"],
};

/** Which columns of a row stand for the fields, as public data sets name them, in any case. */
export const usualColumns = ({ value }: Row): FieldNames => {
  const columns = new Map(Object.keys(value).map((column) => [column.toLowerCase(), column]));
  const found = Object.entries(usualNames).map(([field, names]) => [field, names.find((name) => columns.has(name))] as const);
  return Object.fromEntries(found.flatMap(([field, name]) => (name === undefined ? [] : [[field, columns.get(name)!]])));
};
