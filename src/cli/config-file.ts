/** @file Reads a YAML file of options and remembers on which line each stands. It knows nothing about what the options do. */
import { readFile } from "node:fs/promises";
import { withFile } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import { camelCase, type Flag } from "./flags.ts";
import { nearest } from "./nearest.ts";

/** A value with the words that name its place in messages. */
export interface PlacedValue {
  readonly value: unknown;
  readonly place: string;
}

const longest = 1_000_000;

const readText = (path: string): Promise<string> =>
  withFile(path, async (handle, size) => {
    if (size > longest) {
      throw new LowrankError("invalid-config", `The file has ${size} bytes; a file of options has at most ${longest}.`, { where: path });
    }
    return readFile(handle, "utf8");
  });

const unknownKey = (key: string, flags: readonly Flag[], where: string): LowrankError => {
  const meant = nearest(
    key,
    flags.map(({ name }) => name),
  );
  return new LowrankError(
    "invalid-config",
    `There is no option ${JSON.stringify(key)}${meant === undefined ? "." : `; did you mean ${meant}?`}`,
    {
      where,
      ...(meant === undefined && { fix: `Known are: ${flags.map(({ name }) => name).join(", ")}.` }),
    },
  );
};

/**
 * Reads options from a YAML file, by the keys of the flags; a key may be written as its flag (`learning-rate`) or with capitals
 * or underscores. Bad YAML, unknown and repeated keys are `invalid-config` errors that name the line.
 */
export const readConfigFile = async (path: string, flags: readonly Flag[]): Promise<Map<string, PlacedValue>> => {
  const text = await readText(path);
  const { isMap, isScalar, LineCounter, parseDocument } = await import("yaml"); // only runs with a file pay for it
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const whereIs = (offset: number): string => `${path}:${lines.linePos(offset).line}`;

  const [error] = document.errors;
  if (error !== undefined) {
    throw new LowrankError("invalid-config", `This is not valid YAML: ${error.message.replace(/\.$/, "")}.`, {
      where: whereIs(error.pos[0]),
      cause: error,
    });
  }
  if (document.contents === null) return new Map();
  if (!isMap(document.contents)) {
    throw new LowrankError("invalid-config", "The file is not a list of options.", {
      where: path,
      fix: "Write one `key: value` per line, for example `rank: 16`.",
    });
  }
  const values = new Map<string, PlacedValue>();
  for (const { key: keyNode, value: valueNode } of document.contents.items) {
    const offset = isScalar(keyNode) ? (keyNode.range?.[0] ?? 0) : 0;
    const written = isScalar(keyNode) ? String(keyNode.value) : String(keyNode);
    const flag = flags.find(({ key }) => key === camelCase(written));
    if (flag === undefined) throw unknownKey(written, flags, whereIs(offset));
    if (values.has(flag.key))
      throw new LowrankError("invalid-config", `${flag.name} is given twice.`, { where: whereIs(offset), fix: "Remove one." });
    const value: unknown = document.createNode(valueNode).toJS(document);
    const isListed = flag.repeatable === "list" && !Array.isArray(value);
    values.set(flag.key, { value: isListed ? [value] : value, place: `${whereIs(offset)}: ${written}` });
  }
  return values;
};
