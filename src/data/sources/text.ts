/** @file A `.txt` file as one row: the whole of it is one document. It knows nothing about data formats. */
import type { Row } from "../row.ts";
import { decodedText } from "./lines.ts";

/** The whole file as `text`; line ends are kept as they are. */
export async function* readText(path: string): AsyncGenerator<Row> {
  let text = "";
  for await (const piece of decodedText(path)) text += piece;
  if (text.trim() !== "") yield { value: { text }, where: path };
}
