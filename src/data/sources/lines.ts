/** @file Text of a file in pieces or lines, as UTF-8. It knows nothing about what the lines hold. */
import { createReadStream } from "node:fs";
import { LowrankError, messageOf } from "../../util/index.ts";

export interface Line {
  readonly text: string;
  /** Counted from 1. */
  readonly number: number;
}

/** The text of a file piece by piece, without a byte order mark. Bytes that are not UTF-8 are an error that names the line. */
export async function* decodedText(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let lines = 1;
  const decode = (bytes?: Uint8Array): string => {
    try {
      const text = decoder.decode(bytes, { stream: bytes !== undefined });
      lines += text.split("\n").length - 1;
      return text;
    } catch (error) {
      throw new LowrankError("invalid-data", `The file is not UTF-8 text somewhere after line ${lines}.`, {
        where: path,
        fix: "Convert it, for example with iconv -f latin1 -t utf-8.",
        cause: error,
      });
    }
  };
  try {
    for await (const bytes of createReadStream(path)) yield decode(bytes as Uint8Array);
    yield decode();
  } catch (error) {
    if (LowrankError.is(error)) throw error;
    throw new LowrankError("io-failed", `The file cannot be read: ${messageOf(error)}.`, { where: path, cause: error });
  }
}

/** Lines that end with LF or CRLF. Other line separators of Unicode may stand inside JSON texts, so they end none. */
export async function* readLines(path: string): AsyncGenerator<Line> {
  let rest = "";
  let number = 0;
  for await (const text of decodedText(path)) {
    const lines = text.split("\n");
    lines[0] = rest + lines[0];
    rest = lines.pop()!;
    for (const line of lines) yield { text: line.replace(/\r$/, ""), number: ++number };
  }
  if (rest !== "") yield { text: rest, number: ++number };
}
