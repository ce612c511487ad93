/** @file A library of adapters: add, find, search, annotate, remove, verify. It knows nothing about models, terminals or networks. */
import { rm } from "node:fs/promises";
import { annotate, removeAlias, setAlias, type Annotation } from "./annotate.ts";
import { collect, type Collected, type CollectOptions } from "./collect.ts";
import { exportAdapter, importAdapter } from "./archive.ts";
import { diffAdapters, type AdapterDifference } from "./diff.ts";
import { findAdapter, getAdapter } from "./find.ts";
import { openLibraryFolder, type LibraryFolder, type OpenLibraryOptions } from "./folder.ts";
import { adapterPath } from "./layout.ts";
import { checkPublication, publish, type Publication, type Published } from "./publish.ts";
import type { AdapterRecord, Version } from "./record.ts";
import { removeAdapter, type RemoveOptions } from "./remove.ts";
import { search, type LibraryQuery, type SearchResult } from "./search.ts";
import { writeCatalogue } from "./remotes/catalogue-file.ts";
import type { AdapterEnd, Remote, TransferListener } from "./remotes/remote.ts";
import { stageAdapter } from "./stage.ts";
import { pull, push, sync, type TransferOptions, type TransferSummary } from "./transfer.ts";
import { verifyLibrary, type Finding } from "./verify.ts";

/** What `add` is told beside the folder. */
export interface AddOptions extends Publication {
  /** Digest of the base, for adapters whose files do not say it. */
  readonly base?: string;
}

export interface Library {
  /** The folder, as an absolute path. */
  readonly folder: string;
  /**
   * Copies an adapter in PEFT's layout into the library and publishes it as the next version of a name. One that is there already keeps
   * its version; what is said of it is merged.
   */
  add(directory: string, options: AddOptions): Promise<Published>;
  /** The record for `name`, `name@version`, `name:alias` or `sha256:digits`, undefined where there is none. */
  find(reference: string): Promise<AdapterRecord | undefined>;
  /** The same; none is `not-found`. */
  get(reference: string): Promise<AdapterRecord>;
  /** The folder of an adapter, as PEFT reads it. Do not write into it. */
  path(record: Pick<AdapterRecord, "digest">): string;
  search(query?: LibraryQuery): Promise<SearchResult>;
  annotate(reference: string, annotation: Annotation): Promise<AdapterRecord>;
  /** Makes `name:alias` stand for `name@version`. */
  setAlias(reference: string, alias: string): Promise<AdapterRecord>;
  removeAlias(name: string, alias: string): Promise<void>;
  /** Takes a version out; its number is not given again, and its files stay until `collect`. */
  remove(reference: string, options?: RemoveOptions): Promise<Version[]>;
  /** How two adapters differ. */
  diff(before: string, after: string): Promise<AdapterDifference>;
  /** Writes an adapter with its record into a `.tar` archive or a folder, which must not be there yet. */
  export(reference: string, path: string): Promise<AdapterRecord>;
  /** Takes in what `export` wrote; anything else in it is refused. */
  import(path: string, listen?: TransferListener): Promise<AdapterEnd>;
  /** Brings adapters from another place: those that are named, or all. */
  pull(remote: Remote, options?: TransferOptions): Promise<TransferSummary>;
  /** Takes adapters to another place. */
  push(remote: Remote, options?: TransferOptions): Promise<TransferSummary>;
  /** Brings what is missing here, then takes what is missing there. */
  sync(remote: Remote, options?: TransferOptions): Promise<{ readonly pulled: TransferSummary; readonly pushed: TransferSummary }>;
  collect(options?: CollectOptions): AsyncGenerator<Collected>;
  /** Reads everything and says what is sound and what is not. */
  verify(references?: readonly string[]): AsyncGenerator<Finding>;
  /** Writes the list that a web server needs beside the folder; gives the number of adapters in it. */
  writeCatalogue(): Promise<number>;
  /** Makes the index anew; everything else does so by itself where it finds it damaged. */
  rebuild(): Promise<void>;
  close(): void;
}

const methods = (store: LibraryFolder): Library => ({
  folder: store.folder,
  add: async (directory, { base, ...publication }) => {
    checkPublication(publication);
    const staged = await stageAdapter(store.folder, directory, base ?? null);
    try {
      return await publish(store, staged, publication);
    } catch (error) {
      await rm(staged.path, { recursive: true, force: true });
      throw error;
    }
  },
  find: (reference) => findAdapter(store, reference),
  get: (reference) => getAdapter(store, reference),
  path: ({ digest }) => adapterPath(store.folder, digest),
  search: (query) => search(store, query),
  annotate: (reference, annotation) => annotate(store, reference, annotation),
  setAlias: (reference, alias) => setAlias(store, reference, alias),
  removeAlias: (name, alias) => removeAlias(store, name, alias),
  remove: (reference, options) => removeAdapter(store, reference, options),
  diff: (before, after) => diffAdapters(store, before, after),
  export: (reference, path) => exportAdapter(store, reference, path),
  import: (path, listen) => importAdapter(store, path, listen),
  pull: (remote, options) => pull(store, remote, options),
  push: (remote, options) => push(store, remote, options),
  sync: (remote, options) => sync(store, remote, options),
  collect: (options) => collect(store, options),
  verify: async function* (references) {
    const digests: string[] = [];
    for (const reference of references ?? []) digests.push((await getAdapter(store, reference)).digest);
    yield* verifyLibrary(store, references === undefined ? undefined : digests);
  },
  writeCatalogue: () => writeCatalogue(store),
  rebuild: () => store.rebuild(),
  close: () => store.close(),
});

/**
 * Opens the library in a folder. Several processes may use it at once.
 * @example
 * const library = await openLibrary("adapters", { create: true });
 * const { version } = await library.add("runs/orders", { name: "orders", tags: ["language=en"], metrics: { loss: 0.31 } });
 * const { entries } = await library.search({ tags: ["language=en"], sort: "loss" });
 * library.close();
 */
export const openLibrary = async (folder: string, options?: OpenLibraryOptions): Promise<Library> =>
  methods(await openLibraryFolder(folder, options));
