/** @file Moves adapters between a library and another place: only what is missing there, and what is known of them. It knows nothing about the place. */
import { LowrankError } from "../util/index.ts";
import { findDigest, getAdapter } from "./find.ts";
import type { LibraryFolder } from "./folder.ts";
import { adapterPath } from "./layout.ts";
import { parseReference } from "./names.ts";
import { everyRecord } from "./records.ts";
import { receive } from "./receive.ts";
import type { AdapterRecord } from "./record.ts";
import type { AdapterEnd, Remote, TransferListener } from "./remotes/remote.ts";

/** What a transfer came to. */
export interface TransferSummary {
  readonly adapters: number;
  readonly new: number;
  readonly merged: number;
  /** Bytes of files that were moved. */
  readonly moved: number;
  readonly renumbered: AdapterEnd["renumbered"];
}

const nothing: TransferSummary = { adapters: 0, new: 0, merged: 0, moved: 0, renumbered: [] };

const withEnd = (summary: TransferSummary, { outcome, moved, renumbered }: AdapterEnd): TransferSummary => ({
  adapters: summary.adapters + 1,
  new: summary.new + (outcome === "new" ? 1 : 0),
  merged: summary.merged + (outcome === "merged" ? 1 : 0),
  moved: summary.moved + moved,
  renumbered: [...summary.renumbered, ...renumbered],
});

export interface TransferOptions {
  /** Adapters to move; default: all. */
  readonly references?: readonly string[];
  readonly listen?: TransferListener;
}

async function* chosenThere(remote: Remote, references: readonly string[]): AsyncGenerator<AdapterRecord> {
  for (const reference of references) {
    const record = await remote.find(reference);
    if (record === undefined)
      throw new LowrankError("not-found", `There is no adapter ${reference}.`, { where: remote.address, fix: "Check its name." });
    yield record;
  }
}

/** Brings adapters from elsewhere. Those that are named are read through here as well, so that damaged ones become whole. */
export const pull = async (
  library: LibraryFolder,
  remote: Remote,
  { references, listen = () => undefined }: TransferOptions = {},
): Promise<TransferSummary> => {
  let summary = nothing;
  const thorough = references !== undefined;
  for await (const record of references === undefined ? remote.records() : chosenThere(remote, references))
    summary = withEnd(summary, await receive(library, record, (file, from) => remote.read(record, file, from), listen, { thorough }));
  return summary;
};

async function* chosenHere(library: LibraryFolder, references: readonly string[]): AsyncGenerator<AdapterRecord> {
  for (const reference of references) yield await getAdapter(library, reference);
}

/** Takes adapters elsewhere. */
export const push = async (
  library: LibraryFolder,
  remote: Remote,
  { references, listen = () => undefined }: TransferOptions = {},
): Promise<TransferSummary> => {
  if (remote.write === undefined)
    throw new LowrankError("unsupported", "One can only read there.", {
      where: remote.address,
      fix: "Push to a folder, a bucket or the hub.",
    });
  let summary = nothing;
  for await (const record of references === undefined ? everyRecord(library) : chosenHere(library, references))
    summary = withEnd(summary, await remote.write(record, adapterPath(library.folder, record.digest), listen));
  return summary;
};

/** True where a reference names an adapter that is here. */
const isHere = (library: LibraryFolder, text: string): Promise<boolean> => {
  const reference = parseReference(text);
  return library.ask((database) => reference !== undefined && findDigest(database, reference) !== undefined);
};

/** Brings what is missing here and takes what is missing there; a reference may be known to one side only. */
export const sync = async (
  library: LibraryFolder,
  remote: Remote,
  { references, listen }: TransferOptions = {},
): Promise<{ readonly pulled: TransferSummary; readonly pushed: TransferSummary }> => {
  const listening = listen === undefined ? {} : { listen };
  if (references === undefined) return { pulled: await pull(library, remote, listening), pushed: await push(library, remote, listening) };
  const there: string[] = [];
  const here: string[] = [];
  for (const reference of references) {
    if ((await remote.find(reference)) !== undefined) there.push(reference);
    if (await isHere(library, reference)) here.push(reference);
    else if (there.at(-1) !== reference)
      throw new LowrankError("not-found", `Neither side has an adapter ${reference}.`, { where: remote.address, fix: "Check its name." });
  }
  return {
    pulled: await pull(library, remote, { references: there, ...listening }),
    pushed: await push(library, remote, { references: here, ...listening }),
  };
};
