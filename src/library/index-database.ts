/** @file The index of a library: an SQLite database that can be made again from the folder at any time, and is whenever it is damaged. It knows nothing about searching. */
import { createHash } from "node:crypto";
import { accessSync, constants, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import Database from "libsql";
import { cacheDirectory } from "../formats/index.ts";
import { LowrankError, messageOf } from "../util/index.ts";
import { indexFolderName } from "./layout.ts";
import { value } from "./sql.ts";

/** What the index holds; a change of this text makes every index anew. */
const schema = `
  CREATE TABLE IF NOT EXISTS shard (
    name TEXT PRIMARY KEY,
    changed TEXT NOT NULL, -- when the folder last changed, in nanoseconds
    seen INTEGER NOT NULL  -- when it was read, in milliseconds
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS adapter (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    shard TEXT NOT NULL,
    stamp TEXT NOT NULL, -- of the record's file: it changes when the file does
    base TEXT, base_name TEXT,
    kind TEXT NOT NULL, rank REAL, alpha REAL, parameters INTEGER NOT NULL, bytes INTEGER NOT NULL,
    tags TEXT NOT NULL, metrics TEXT NOT NULL,
    created TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS adapter_shard ON adapter (shard);
  CREATE INDEX IF NOT EXISTS adapter_base ON adapter (base, base_name);
  CREATE TABLE IF NOT EXISTS version (
    name TEXT NOT NULL, number INTEGER NOT NULL, adapter INTEGER NOT NULL, retired INTEGER NOT NULL,
    PRIMARY KEY (name, number, adapter)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS version_adapter ON version (adapter);
  CREATE TABLE IF NOT EXISTS alias (
    name TEXT NOT NULL, alias TEXT NOT NULL, since TEXT NOT NULL, adapter INTEGER NOT NULL,
    PRIMARY KEY (name, alias, since, adapter)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS alias_adapter ON alias (adapter);
  CREATE TABLE IF NOT EXISTS tag (key TEXT NOT NULL, value TEXT NOT NULL, adapter INTEGER NOT NULL, PRIMARY KEY (key, value, adapter)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS tag_adapter ON tag (adapter);
  CREATE TABLE IF NOT EXISTS metric (name TEXT NOT NULL, value REAL NOT NULL, adapter INTEGER NOT NULL, PRIMARY KEY (name, value, adapter)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS metric_adapter ON metric (adapter);
  CREATE TABLE IF NOT EXISTS unreadable (digest TEXT PRIMARY KEY, shard TEXT NOT NULL, stamp TEXT NOT NULL, message TEXT NOT NULL) WITHOUT ROWID;
  CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (names, tags, base, notes, prefix = '2 3');
`;

const schemaVersion = Number.parseInt(createHash("sha256").update(schema).digest("hex").slice(0, 7), 16);

/** Milliseconds that a statement waits for another process's. */
const patience = 30_000;

const generationPattern = /^(\d{1,15})\.sqlite$/;

export interface IndexDatabase {
  readonly database: Database.Database;
  readonly path: string;
}

/** Where the index lies: in the library or, where that cannot be written, in the cache. */
const indexFolder = (library: string): string => {
  const beside = join(library, indexFolderName);
  try {
    mkdirSync(beside, { recursive: true });
    accessSync(beside, constants.W_OK);
    return beside;
  } catch {
    const elsewhere = join(cacheDirectory(), "library", createHash("sha256").update(resolve(library)).digest("hex").slice(0, 32));
    mkdirSync(elsewhere, { recursive: true });
    return elsewhere;
  }
};

// A damaged database is never written over: another process may still have it open. The next number takes its place.
const generationsIn = (folder: string): number[] =>
  readdirSync(folder)
    .flatMap((name) => Number(generationPattern.exec(name)?.[1] ?? []))
    .sort((a, b) => b - a);

/** True for what SQLite says of a database that is damaged, foreign, of another form, or no file at all. */
export const isDamage = (error: unknown): boolean =>
  error instanceof Error &&
  (("code" in error && /^SQLITE_(CORRUPT|NOTADB|ERROR|SCHEMA|CANTOPEN|READONLY|IOERR)/.test(String(error.code))) ||
    error.message.startsWith("ConnectionFailed"));

const connect = (path: string): Database.Database => {
  const database = new Database(path, { timeout: patience });
  database.exec("PRAGMA synchronous = NORMAL"); // nothing is lost that the folder does not have
  return database;
};

/** Starts an empty index that takes the place of those before it, and removes them. */
export const newIndex = (library: string): IndexDatabase => {
  const folder = indexFolder(library);
  const earlier = generationsIn(folder);
  const path = join(folder, `${(earlier[0] ?? 0) + 1}.sqlite`);
  const database = connect(path);
  database.exec(`PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT`);
  for (const generation of earlier)
    for (const ending of ["", "-wal", "-shm"]) rmSync(join(folder, `${generation}.sqlite${ending}`), { recursive: true, force: true });
  return { database, path };
};

/** Opens the index of a library, or an empty one where there is none that can be read. */
export const openIndex = (library: string): IndexDatabase => {
  const folder = indexFolder(library);
  const [newest] = generationsIn(folder);
  if (newest === undefined) return newIndex(library);
  const path = join(folder, `${newest}.sqlite`);
  try {
    const database = connect(path);
    if (value(database, "PRAGMA user_version") === schemaVersion) return { database, path };
    database.close();
  } catch (error) {
    if (!isDamage(error))
      throw new LowrankError("io-failed", `The library's index cannot be opened: ${messageOf(error)}.`, { where: path, cause: error });
  }
  return newIndex(library);
};
