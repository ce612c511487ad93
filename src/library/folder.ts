/** @file A library's folder in hand: asks the index, reads records, and changes them one writer at a time. It knows nothing about what a change means. */
import { existsSync } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type Database from "libsql";
import { makeFolder, readJsonObject, writeFileAtomically } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import { catchUp, catchUpShard, readRecord } from "./catch-up.ts";
import { isDamage, newIndex, openIndex } from "./index-database.ts";
import {
  adapterPath,
  asideName,
  asidePath,
  hasLibrary,
  indexFolderName,
  lockName,
  markerName,
  recordPath,
  shardOf,
  shardPath,
  shardsName,
  syncFolder,
} from "./layout.ts";
import { ioFailed } from "./io-failed.ts";
import { withLock } from "./lock.ts";
import { labelOf, longestRecord, recordText, type AdapterRecord } from "./record.ts";

const marker = { format: "lowrank-library", version: 1 };

/** What a writer may do while it holds the lock. */
export interface Writer {
  /** Puts a folder from `aside` in an adapter's place, where there is none yet, and writes its record. */
  place(record: AdapterRecord, staged: string): Promise<void>;
  /** Writes a record over the one that was there. */
  write(record: AdapterRecord): Promise<void>;
  /** Moves an adapter's files into `aside`, in one step; gives the new path, or undefined where there were none. */
  withdraw(digest: string): Promise<string | undefined>;
}

export interface LibraryFolder {
  readonly folder: string;
  /** Asks the index, in step with the folder; one that is damaged is made anew first. */
  ask<Answer>(question: (database: Database.Database) => Answer): Promise<Answer>;
  /** The record of an adapter as it lies in the folder, undefined where there is none. */
  read(digest: string): AdapterRecord | undefined;
  /** Works while nobody else changes the library. */
  change<Result>(work: (writer: Writer) => Promise<Result>): Promise<Result>;
  /** Makes the index anew from the folder. */
  rebuild(): Promise<void>;
  close(): void;
}

const checkMarker = async (folder: string): Promise<void> => {
  const path = join(folder, markerName);
  const { format, version } = await readJsonObject(path);
  if (format !== marker.format)
    throw new LowrankError("invalid-file", "This is not the marker of a library.", { where: path, fix: "Choose another --library." });
  if (version !== marker.version)
    throw new LowrankError("unsupported", `The library is of version ${String(version)}; version ${marker.version} is read.`, {
      where: path,
      fix: "Use a newer release.",
    });
};

const create = async (folder: string): Promise<void> => {
  await makeFolder(folder);
  const present = (await readdir(folder)).filter((name) => name !== shardsName && name !== asideName && name !== indexFolderName);
  if (present.some((name) => !name.startsWith(markerName)))
    throw new LowrankError("invalid-argument", "The folder holds other things than a library.", {
      where: folder,
      fix: "Choose a new or an empty folder with --library.",
    });
  await Promise.all([shardsName, asideName].map((name) => makeFolder(join(folder, name))));
  await writeFileAtomically(join(folder, markerName), `${JSON.stringify(marker)}\n`);
};

export interface OpenLibraryOptions {
  /** Make the library where there is none. Default false: that is `not-found`. */
  readonly create?: boolean;
}

/** Opens a library's folder. */
export const openLibraryFolder = async (path: string, { create: mayCreate = false }: OpenLibraryOptions = {}): Promise<LibraryFolder> => {
  const folder = resolve(path);
  if (hasLibrary(folder)) await checkMarker(folder);
  else if (mayCreate) await create(folder).catch((error: unknown) => Promise.reject(ioFailed(error, folder)));
  else
    throw new LowrankError("not-found", "There is no library.", {
      where: folder,
      fix: "Add a first adapter with `lowrank library add`, or name another folder with --library.",
    });

  let index = openIndex(folder);
  const renew = (): void => {
    index.database.close();
    index = newIndex(folder);
  };

  const ask = async <Answer>(question: (database: Database.Database) => Answer): Promise<Answer> => {
    try {
      await catchUp(index.database, folder);
      return question(index.database);
    } catch (error) {
      if (!isDamage(error)) throw error;
      renew();
      await catchUp(index.database, folder);
      return question(index.database);
    }
  };

  const read = (digest: string): AdapterRecord | undefined =>
    existsSync(recordPath(folder, digest)) ? readRecord(recordPath(folder, digest)) : undefined;

  const makeShard = async (shard: string): Promise<void> => {
    const created = await mkdir(shardPath(folder, shard), { recursive: true });
    if (created !== undefined) await syncFolder(join(folder, shardsName));
  };

  const settle = async (digest: string): Promise<void> => {
    const shard = shardOf(digest);
    await syncFolder(shardPath(folder, shard));
    try {
      catchUpShard(index.database, folder, shard);
    } catch (error) {
      if (!isDamage(error)) throw error;
      renew();
    }
  };

  /** Writes a record's bytes beside their place and gives the path. */
  const stage = async (record: AdapterRecord): Promise<string> => {
    const text = recordText(record);
    if (Buffer.byteLength(text) > longestRecord)
      throw new LowrankError(
        "invalid-argument",
        `What is said of the adapter takes ${Buffer.byteLength(text)} bytes; ${longestRecord} are allowed.`,
        {
          where: labelOf(record),
          fix: "Shorten its notes, or give it fewer tags or names.",
        },
      );
    const aside = `${asidePath(folder)}.json`;
    const handle = await open(aside, "wx");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return aside;
  };

  const writer: Writer = {
    place: async (record, staged) => {
      const { digest } = record;
      const [aside] = await Promise.all([stage(record), makeShard(shardOf(digest))]);
      if (existsSync(adapterPath(folder, digest))) await rm(staged, { recursive: true, force: true });
      else await rename(staged, adapterPath(folder, digest));
      await rename(aside, recordPath(folder, digest));
      await settle(digest);
    },
    write: async (record) => {
      await rename(await stage(record), recordPath(folder, record.digest));
      await settle(record.digest);
    },
    withdraw: async (digest) => {
      if (!existsSync(adapterPath(folder, digest))) return undefined;
      const aside = asidePath(folder);
      await rename(adapterPath(folder, digest), aside);
      await syncFolder(shardPath(folder, shardOf(digest)));
      return aside;
    },
  };

  return {
    folder,
    ask,
    read,
    change: async (work) => {
      try {
        return await withLock(join(folder, lockName), () => work(writer));
      } catch (error) {
        throw ioFailed(error, folder);
      }
    },
    rebuild: async () => {
      renew();
      await catchUp(index.database, folder);
    },
    close: () => void index.database.close(),
  };
};
