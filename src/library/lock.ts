/** @file The lock under which a library is changed, by one process at a time. It knows nothing about what is changed. */
import { resolve } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import Database from "libsql";
import { LowrankError } from "../util/index.ts";

const poll = 2; // milliseconds
const longestWait = 120_000; // milliseconds

/** Of each lock, the last of this process's users in line: they wait for each other without asking the disk. */
const lines = new Map<string, Promise<unknown>>();

const isBusy = (error: unknown): boolean => error instanceof Error && "code" in error && String(error.code).startsWith("SQLITE_BUSY");

const acquire = async (database: Database.Database, path: string): Promise<void> => {
  for (const started = Date.now(); ; await wait(poll)) {
    try {
      database.exec("BEGIN IMMEDIATE");
      return;
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (Date.now() - started > longestWait)
        throw new LowrankError("io-failed", `Another process has held the library's lock for ${longestWait / 1000} s.`, {
          where: path,
          fix: "See whether it still runs; the lock is free as soon as it ends.",
        });
    }
  }
};

const hold = async <Result>(path: string, work: () => Promise<Result>): Promise<Result> => {
  const database = new Database(path);
  try {
    database.exec("PRAGMA journal_mode = MEMORY");
    await acquire(database, path);
    try {
      return await work();
    } finally {
      database.exec("ROLLBACK");
    }
  } finally {
    database.close();
  }
};

/**
 * Runs `work` while no other process or call holds the lock at `path`. The lock is that of SQLite on an empty database: the operating
 * system frees it when its holder dies, however that happens.
 */
export const withLock = async <Result>(path: string, work: () => Promise<Result>): Promise<Result> => {
  const key = resolve(path);
  const turn = (lines.get(key) ?? Promise.resolve()).then(() => hold(key, work));
  const settled = turn.catch(() => undefined);
  lines.set(key, settled);
  try {
    return await turn;
  } finally {
    if (lines.get(key) === settled) lines.delete(key);
  }
};
