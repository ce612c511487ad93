/** @file A library as objects under keys, as buckets and web servers hold them: the folder's own layout, with a catalogue beside. It knows nothing about protocols. */
import { createHash } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJsonObject } from "../../formats/json.ts";
import { LowrankError } from "../../util/index.ts";
import { adapterPath, digestOfEntry, recordPath, shardsName } from "../layout.ts";
import { mergedRecords, renamed } from "../receive.ts";
import { adapterFiles, labelOf, recordOf, recordText, type AdapterFile, type AdapterRecord, type AliasClaim } from "../record.ts";
import { catalogueLine, catalogueName, chooseRecord, readCatalogue, type CatalogueEntry } from "./catalogue.ts";
import type { AdapterEnd, Remote, TransferListener } from "./remote.ts";

export interface StoredObject {
  readonly key: string;
  /** Changes with the contents. */
  readonly tag: string;
}

/** Bytes under keys. */
export interface ObjectStore {
  /** How people name it; without secrets. */
  readonly address: string;
  /** An object's bytes from a position on; none is `not-found`. */
  get(key: string, from?: number): AsyncIterable<Uint8Array>;
  /** Absent where one can only read. */
  readonly writing?: {
    /** The objects under a prefix, in the order of their keys. */
    list(prefix: string): AsyncIterable<StoredObject>;
    /** The length of an object, undefined where there is none. */
    size(key: string): Promise<number | undefined>;
    /** Stores a file; what of it arrived in an earlier attempt is not sent again. Gives its tag. */
    put(key: string, path: string, tell: (sent: number) => void): Promise<string>;
  };
}

// Keys are the paths of a library's folder.
const keyOf = (path: string): string => path.replace(/^[/\\]/, "").replaceAll("\\", "/");
const fileKey = (digest: string, file: AdapterFile): string => keyOf(join(adapterPath("/", digest), file));
const recordKey = (digest: string): string => keyOf(recordPath("/", digest));

const longestRecord = 1_000_000;

const isMissing = (error: unknown): boolean => LowrankError.is(error) && error.code === "not-found";

const getRecord = async (store: ObjectStore, digest: string): Promise<AdapterRecord | undefined> => {
  const where = `${store.address}, ${recordKey(digest)}`;
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of store.get(recordKey(digest))) {
      bytes += piece.length;
      if (bytes > longestRecord) throw new LowrankError("invalid-file", `The record has more than ${longestRecord} bytes.`, { where });
      pieces.push(piece);
    }
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  const record = recordOf(parseJsonObject(Buffer.concat(pieces), where, "The record", "Push the adapter again."), where);
  if (record.digest !== digest)
    throw new LowrankError("invalid-file", `The record is of ${record.digest}.`, { where, fix: "Push the adapter again." });
  return record;
};

/** The catalogue's entries; none where there is no catalogue. */
async function* catalogued(store: ObjectStore): AsyncGenerator<CatalogueEntry> {
  try {
    yield* readCatalogue(store.get(catalogueName), `${store.address}, ${catalogueName}`);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Every record as it is: listed where the store can list, so that the catalogue only saves asking for those that it has right. */
async function* everyEntry(store: ObjectStore, fresh: ReadonlyMap<string, CatalogueEntry>): AsyncGenerator<CatalogueEntry> {
  if (store.writing === undefined) {
    yield* catalogued(store);
    return;
  }
  const catalogue = catalogued(store);
  let next = await catalogue.next();
  for await (const { key, tag } of store.writing.list(`${shardsName}/`)) {
    const digest = key.endsWith(".json") ? digestOfEntry(key.slice(key.lastIndexOf("/") + 1)) : undefined;
    if (digest === undefined || key !== recordKey(digest)) continue;
    while (next.done !== true && next.value.record.digest < digest) next = await catalogue.next();
    const known = fresh.get(digest) ?? (next.done === true ? undefined : next.value);
    if (known?.record.digest === digest && known.tag === tag) yield known;
    else {
      const record = await getRecord(store, digest);
      if (record !== undefined) yield { record, tag };
    }
  }
}

const textDigest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** What a writer must know of the other side: who has which number, and what is the same already. */
interface Overview {
  readonly versions: Map<string, Map<number, string>>;
  readonly records: Map<string, string>;
}

const note = ({ versions, records }: Overview, record: AdapterRecord): void => {
  records.set(record.digest, textDigest(recordText(record)));
  for (const { name, version } of [...record.names, ...record.retired]) {
    const numbers = versions.get(name) ?? new Map<number, string>();
    versions.set(name, numbers.set(version, record.digest));
  }
};

/** The later claim to each alias. */
const mergedAliases = (ours: readonly AliasClaim[], theirs: readonly AliasClaim[]): AliasClaim[] => {
  const claims = new Map<string, AliasClaim>();
  for (const claim of [...ours, ...theirs]) {
    const key = `${claim.name}:${claim.alias}`;
    if ((claims.get(key)?.since ?? "") < claim.since) claims.set(key, claim);
  }
  return [...claims.values()];
};

/** A library that lies in a store. */
export const objectRemote = (store: ObjectStore): Remote => {
  const { writing } = store;
  const fresh = new Map<string, CatalogueEntry>();
  let overview: Promise<Overview> | undefined;

  const entries = () => everyEntry(store, fresh);
  async function* records(from: () => AsyncIterable<CatalogueEntry>): AsyncGenerator<AdapterRecord> {
    for await (const { record } of from()) if (record.names.length > 0) yield record;
  }
  const survey = async (): Promise<Overview> => {
    const all: Overview = { versions: new Map(), records: new Map() };
    for await (const { record } of entries()) note(all, record);
    return all;
  };

  const find = async (reference: string): Promise<AdapterRecord | undefined> => {
    if (/^sha256:[0-9a-f]{64}$/.test(reference)) return getRecord(store, reference);
    const listed = await chooseRecord(
      records(() => catalogued(store)),
      reference,
    );
    // A writer that was broken off has put records that no catalogue names yet.
    return listed ?? (writing === undefined ? undefined : chooseRecord(records(entries), reference));
  };

  const putText = async (key: string, chunks: AsyncIterable<string>): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), "lowrank-put-"));
    try {
      const path = join(folder, "text");
      const handle = await open(path, "w");
      for await (const text of chunks) await handle.writeFile(text);
      await handle.close();
      return await writing!.put(key, path, () => undefined);
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  const putFiles = async (record: AdapterRecord, folder: string, listen: TransferListener): Promise<number> => {
    let moved = 0;
    for (const file of adapterFiles) {
      const key = fileKey(record.digest, file);
      const { bytes: total } = record.files[file];
      if ((await writing!.size(key)) === total) continue;
      await writing!.put(key, join(folder, file), (received) =>
        listen({ type: "file-progress", adapter: labelOf(record), file, received, total }),
      );
      moved += total;
    }
    return moved;
  };

  const write = async (ours: AdapterRecord, folder: string, listen: TransferListener): Promise<AdapterEnd> => {
    const adapter = labelOf(ours);
    const { digest } = ours;
    listen({ type: "adapter-start", adapter, digest, bytes: Object.values(ours.files).reduce((sum, { bytes }) => sum + bytes, 0) });
    const known = await (overview ??= survey());
    const finish = (outcome: AdapterEnd["outcome"], moved: number, renumbered: AdapterEnd["renumbered"]): AdapterEnd => {
      const end: AdapterEnd = { type: "adapter-end", adapter, digest, outcome, moved, renumbered };
      listen(end);
      return end;
    };
    if (known.records.get(digest) === textDigest(recordText(ours))) return finish("present", 0, []);
    const theirs = await getRecord(store, digest);
    const moved = await putFiles(ours, folder, listen);
    const taken = (name: string): Promise<ReadonlyMap<number, string>> =>
      Promise.resolve(known.versions.get(name) ?? new Map<number, string>());
    const { record: numbered, renumbered } = await renamed(mergedRecords(theirs, ours), ours, taken);
    const record = { ...numbered, aliases: mergedAliases(theirs?.aliases ?? [], ours.aliases) };
    if (theirs !== undefined && recordText(record) === recordText(theirs)) return finish("present", moved, renumbered);
    const tag = await putText(
      recordKey(digest),
      (async function* () {
        yield recordText(record);
      })(),
    );
    note(known, record);
    fresh.set(digest, { record, tag });
    return finish(theirs === undefined ? "new" : "merged", moved, renumbered);
  };

  return {
    address: store.address,
    records: () => records(entries),
    find,
    read: ({ digest }, file, from) => store.get(fileKey(digest, file), from),
    ...(writing !== undefined && { write }),
    close: async () => {
      if (fresh.size === 0) return;
      await putText(
        catalogueName,
        (async function* () {
          for await (const entry of entries()) yield catalogueLine(entry);
        })(),
      );
      fresh.clear();
    },
  };
};
