/**
 * @file The list of all records in one file, `catalogue.jsonl`, for places that cannot be searched: one line each, in the order of digests.
 * It is a shortcut: the records themselves decide. It knows nothing about where it lies.
 */
import { createHash } from "node:crypto";
import { isObject } from "../../formats/index.ts";
import { LowrankError, messageOf } from "../../util/index.ts";
import { parseReference } from "../names.ts";
import { recordOf, recordText, type AdapterRecord } from "../record.ts";

export const catalogueName = "catalogue.jsonl";

/** A record, and the tag that its object had when it was listed. */
export interface CatalogueEntry {
  readonly record: AdapterRecord;
  readonly tag: string;
}

const longestLine = 1_000_000;

/** The tag that most stores give to these bytes. */
export const tagOf = (bytes: string | Uint8Array): string => createHash("md5").update(bytes).digest("hex");

export const catalogueLine = ({ record, tag }: CatalogueEntry): string => `${JSON.stringify({ tag, record })}\n`;

/** The line of a record whose object is its plain text. */
export const recordLine = (record: AdapterRecord): string => catalogueLine({ record, tag: tagOf(recordText(record)) });

const entryOf = (line: string, where: string): CatalogueEntry => {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new LowrankError("invalid-file", `A line of the catalogue is not JSON: ${messageOf(error)}.`, { where, cause: error });
  }
  const { tag, record } = isObject(value) ? value : {};
  return { tag: String(tag), record: recordOf(isObject(record) ? record : {}, where) };
};

/** Reads a catalogue as it comes, with the memory of one line. */
export async function* readCatalogue(chunks: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<CatalogueEntry> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    if (rest.length > longestLine)
      throw new LowrankError("invalid-file", `A line of the catalogue is longer than ${longestLine}.`, { where });
    for (const line of lines) yield entryOf(line, where);
  }
  if (rest !== "") yield entryOf(rest, where);
}

/** The record among many that a reference stands for. */
export const chooseRecord = async (records: AsyncIterable<AdapterRecord>, text: string): Promise<AdapterRecord | undefined> => {
  const reference = parseReference(text);
  if (reference === undefined) return undefined;
  let best: { readonly record: AdapterRecord; readonly rank: number | string } | undefined;
  const offer = (record: AdapterRecord, rank: number | string | undefined): void => {
    if (rank !== undefined && (best === undefined || rank > best.rank)) best = { record, rank };
  };
  for await (const record of records) {
    if (reference.kind === "digest") {
      if (!record.digest.startsWith(`sha256:${reference.digits}`)) continue;
      if (best !== undefined)
        throw new LowrankError("invalid-argument", `The digests of several adapters begin with sha256:${reference.digits}.`, {
          fix: "Give more digits.",
        });
      offer(record, 0);
      continue;
    }
    const version = record.names.find(({ name }) => name === reference.name)?.version;
    if (reference.kind === "latest") offer(record, version);
    if (reference.kind === "version") offer(record, version === reference.version ? 0 : undefined);
    if (reference.kind === "alias")
      offer(record, record.aliases.find(({ name, alias }) => name === reference.name && alias === reference.alias)?.since);
  }
  return best?.record;
};
