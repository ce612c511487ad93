/** @file `text`: one text per row, all of it supervised. It knows nothing about other formats. */
import { textField } from "./fields.ts";
import type { DataFormat } from "./parsed.ts";

export const textFormat: DataFormat = {
  fields: ["text"],
  learns: ["all"],
  read: (row) => ({ segments: [{ text: textField(row, "text"), supervised: true }] }),
};
