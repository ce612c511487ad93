/**
 * @file Brings the index in step with the folder. A shard whose folder has not changed since it was read is taken as it stands in the index,
 * any other is read again: what was added, changed or removed by anyone, by whatever means, is found. It knows nothing about searching.
 */
import { readdirSync, readFileSync, statSync, type BigIntStats } from "node:fs";
import { join } from "node:path";
import { setImmediate as breathe } from "node:timers/promises";
import type Database from "libsql";
import { isObject } from "../formats/index.ts";
import { LowrankError, messageOf } from "../util/index.ts";
import { digestOfEntry, shardPath, shardsName } from "./layout.ts";
import { splitTag } from "./names.ts";
import { change, rows } from "./sql.ts";
import { adapterFiles, longestRecord, recordOf, type AdapterRecord } from "./record.ts";

const missing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "ENOENT";

const statOf = (path: string): BigIntStats | undefined => {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    if (missing(error)) return undefined;
    throw error;
  }
};

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (missing(error)) return [];
    throw error;
  }
};

interface ShardState {
  readonly name: string;
  readonly changed: bigint;
}

const shardsIn = (library: string): ShardState[] =>
  namesIn(join(library, shardsName)).flatMap((name) => {
    const stats = /^[0-9a-f]{2}$/.test(name) ? statOf(shardPath(library, name)) : undefined;
    return stats?.isDirectory() === true ? [{ name, changed: stats.mtimeNs }] : [];
  });

// Two changes within one tick of the file system's clock leave the same time: a folder that was read so soon after its change
// may have changed again. Most clocks tick in milliseconds, some file systems (FAT, HFS+) store whole seconds.
const tick = (changed: bigint): number => (changed % 1_000_000_000n === 0n ? 2500 : 50); // milliseconds

const isCurrent = (stored: StoredShard | undefined, { changed }: ShardState): boolean =>
  stored !== undefined && stored.changed === String(changed) && stored.seen - Number(changed / 1_000_000n) > tick(changed);

interface StoredShard {
  readonly changed: string;
  readonly seen: number;
}

const storedShards = (database: Database.Database): Map<string, StoredShard> =>
  new Map(
    rows<[string, string, number]>(database, "SELECT name, changed, seen FROM shard").map(([name, changed, seen]) => [
      name,
      { changed, seen },
    ]),
  );

/** Reads a record's file. */
export const readRecord = (path: string): AdapterRecord => {
  let value: unknown;
  try {
    // Asked before opening, because opening a pipe would wait for its writer.
    const stats = statSync(path);
    if (!stats.isFile()) throw new Error("it is not a file");
    if (stats.size > longestRecord) throw new Error(`it has ${stats.size} bytes, and at most ${longestRecord} are read`);
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (missing(error)) throw new LowrankError("not-found", "There is no such record.", { where: path, cause: error });
    throw new LowrankError("invalid-file", `The record cannot be read: ${messageOf(error)}.`, {
      where: path,
      fix: "Copy the record again, or remove it and add the adapter anew.",
      cause: error,
    });
  }
  return recordOf(isObject(value) ? value : {}, path);
};

const forget = (database: Database.Database, id: number): void => {
  for (const table of ["version", "alias", "tag", "metric"]) change(database, `DELETE FROM ${table} WHERE adapter = ?`, id);
  change(database, "DELETE FROM words WHERE rowid = ?", id);
  change(database, "DELETE FROM adapter WHERE id = ?", id);
};

const remember = (database: Database.Database, record: AdapterRecord, shard: string, stamp: string): void => {
  const { digest, files, facts, lineage, names, retired, aliases, tags, metrics, notes, created } = record;
  const bytes = adapterFiles.reduce((sum, name) => sum + files[name].bytes, 0);
  const id = change(
    database,
    "INSERT INTO adapter VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    digest,
    shard,
    stamp,
    lineage.base,
    lineage.baseName,
    facts.kind,
    facts.rank,
    facts.alpha,
    facts.parameters,
    bytes,
    JSON.stringify(tags),
    JSON.stringify(metrics),
    created,
  );
  const insert = (table: string, ...values: readonly unknown[]): number =>
    change(database, `INSERT OR IGNORE INTO ${table} VALUES (${values.map(() => "?").join(", ")})`, ...values);
  for (const { name, version } of names) insert("version", name, version, id, 0);
  for (const { name, version } of retired) insert("version", name, version, id, 1);
  for (const { name, alias, since } of aliases) insert("alias", name, alias, since, id);
  for (const tag of tags) insert("tag", ...splitTag(tag), id);
  for (const [name, value] of Object.entries(metrics)) insert("metric", name, value, id);
  const spoken = [...new Set(names.map(({ name }) => name)), ...aliases.map(({ alias }) => alias)].join(" ");
  const base = [lineage.baseName, lineage.run].filter((text) => text !== null).join(" ");
  change(database, "INSERT INTO words (rowid, names, tags, base, notes) VALUES (?, ?, ?, ?, ?)", id, spoken, tags.join(" "), base, notes);
};

/** Reads what is new in a shard and forgets what is gone, in one transaction. */
const readShard = (database: Database.Database, library: string, shard: string): void => {
  const folder = shardPath(library, shard);
  const changed = statOf(folder)?.mtimeNs; // before anything is read: a later change is seen next time
  const seen = Date.now();
  const known = new Map(
    rows<[string, string, number | null]>(
      database,
      "SELECT digest, stamp, id FROM adapter WHERE shard = ? UNION ALL SELECT digest, stamp, NULL FROM unreadable WHERE shard = ?",
      shard,
      shard,
    ).map(([digest, stamp, id]) => [digest, { stamp, id }]),
  );
  const drop = (digest: string): void => {
    const id = known.get(digest)?.id ?? null;
    if (id === null) change(database, "DELETE FROM unreadable WHERE digest = ?", digest);
    else forget(database, id);
  };
  const present = new Set<string>();
  for (const name of namesIn(folder)) {
    const digest = name.endsWith(".json") ? digestOfEntry(name) : undefined;
    const stats = digest === undefined ? undefined : statOf(join(folder, name));
    if (digest === undefined || stats === undefined) continue;
    present.add(digest);
    const stamp = `${stats.mtimeNs}:${stats.size}:${stats.ino}`;
    if (known.get(digest)?.stamp === stamp) continue;
    if (known.has(digest)) drop(digest);
    try {
      const record = readRecord(join(folder, name));
      if (record.digest !== digest)
        throw new LowrankError("invalid-file", `The record is of ${record.digest}.`, { where: join(folder, name) });
      remember(database, record, shard, stamp);
    } catch (error) {
      change(database, "INSERT INTO unreadable VALUES (?, ?, ?, ?)", digest, shard, stamp, messageOf(error));
    }
  }
  for (const digest of known.keys()) if (!present.has(digest)) drop(digest);
  if (changed === undefined) change(database, "DELETE FROM shard WHERE name = ?", shard);
  else change(database, "INSERT OR REPLACE INTO shard VALUES (?, ?, ?)", shard, String(changed), seen);
};

/** Runs synchronous work in a transaction that takes the write lock at once. */
const inTransaction = (database: Database.Database, work: () => void): void => {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    try {
      database.exec("ROLLBACK");
    } catch {
      // A damaged database may have ended the transaction itself.
    }
    throw error;
  }
};

/** Reads one shard again, whose adapters the caller has changed. */
export const catchUpShard = (database: Database.Database, library: string, shard: string): void =>
  inTransaction(database, () => readShard(database, library, shard));

const shardsAtOnce = 16;

/** Reads every shard that has changed since the index saw it; other work gets its turn in between. */
export const catchUp = async (database: Database.Database, library: string): Promise<void> => {
  const stored = storedShards(database);
  const found = shardsIn(library);
  const names = new Set(found.map(({ name }) => name));
  const stale = [
    ...found.filter((shard) => !isCurrent(stored.get(shard.name), shard)).map(({ name }) => name),
    ...[...stored.keys()].filter((name) => !names.has(name)),
  ];
  for (let first = 0; first < stale.length; first += shardsAtOnce) {
    if (first > 0) await breathe();
    inTransaction(database, () => {
      for (const shard of stale.slice(first, first + shardsAtOnce)) readShard(database, library, shard);
    });
  }
};
