/** @file A lock between processes made of one file, so that two of them do not download the same model twice. It knows nothing about models. */
import { mkdir, open, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

const REFRESH = 5_000; // milliseconds
const STALE = 30_000; // milliseconds
const POLL = 100; // milliseconds

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
};

// A holder that was killed leaves its file: its process is gone or, on another host, the file is no longer refreshed.
const isAbandoned = async (path: string): Promise<boolean> => {
  try {
    const [pid, host] = (await readFile(path, "utf8")).split(" ");
    if (host === hostname() && !isRunning(Number(pid))) return true;
    return Date.now() - (await stat(path)).mtimeMs > STALE;
  } catch {
    return false; // Released meanwhile.
  }
};

/**
 * Runs `work` while holding the lock file at `path`; waits for as long as another process or call holds it.
 * The lock saves traffic only: two that break in at once must still be safe by what they write.
 */
export const withLock = async <Result>(path: string, work: () => Promise<Result>): Promise<Result> => {
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    try {
      const handle = await open(path, "wx");
      await handle.writeFile(`${process.pid} ${hostname()}`);
      await handle.close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if (await isAbandoned(path)) await rm(path, { force: true });
      else await wait(POLL);
    }
  }
  const refresh = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), REFRESH);
  try {
    return await work();
  } finally {
    clearInterval(refresh);
    await rm(path, { force: true });
  }
};
