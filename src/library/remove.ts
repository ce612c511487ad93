/** @file Takes versions out of the library; the files stay until they are collected. It knows nothing about collecting. */
import { LowrankError } from "../util/index.ts";
import { findAdapter, getAdapter } from "./find.ts";
import type { LibraryFolder } from "./folder.ts";
import { parseReference } from "./names.ts";
import type { AdapterRecord, PublishedVersion, Version } from "./record.ts";
import { rows } from "./sql.ts";

/** The record without some of its names, and without aliases of names that it has no more. */
const retire = (record: AdapterRecord, gone: readonly PublishedVersion[]): AdapterRecord => {
  const names = record.names.filter((one) => !gone.includes(one));
  return {
    ...record,
    names,
    aliases: record.aliases.filter((claim) => names.some(({ name }) => name === claim.name)),
    retired: [...record.retired, ...gone.map(({ name, version }) => ({ name, version }))],
  };
};

export interface RemoveOptions {
  /** Remove every version of a name. Default false: a name with several is refused. */
  readonly everyVersion?: boolean;
}

const severalVersions = (reference: string, numbers: readonly number[]): LowrankError =>
  new LowrankError("invalid-argument", `${reference} has ${numbers.length} versions: ${numbers.slice(0, 8).join(", ")}.`, {
    fix: `Name one, for example ${reference}@${numbers[0]}, or pass --all-versions.`,
  });

/** Removes what a reference names; gives the versions that are gone. Their numbers are not given again. */
export const removeAdapter = (library: LibraryFolder, text: string, { everyVersion = false }: RemoveOptions = {}): Promise<Version[]> =>
  library.change(async (writer) => {
    const reference = parseReference(text);
    const gone: Version[] = [];
    const removeFrom = async (record: AdapterRecord): Promise<void> => {
      const named = reference !== undefined && reference.kind !== "digest" ? reference.name : undefined;
      const versions = record.names.filter(({ name }) => named === undefined || name === named);
      await writer.write(retire(record, versions));
      gone.push(...versions.map(({ name, version }) => ({ name, version })));
    };
    const record = await getAdapter(library, text);
    if (reference?.kind === "latest") {
      const numbers = await library.ask((database) =>
        rows<[number]>(database, "SELECT number FROM version WHERE name = ? AND NOT retired ORDER BY number DESC", reference.name),
      );
      if (numbers.length > 1 && !everyVersion) throw severalVersions(text, numbers.flat());
      for (let next: AdapterRecord | undefined = record; next !== undefined; next = await findAdapter(library, text))
        await removeFrom(next);
    } else await removeFrom(record);
    return gone;
  });
