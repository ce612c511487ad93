/** @file The file that a transfer writes into: its own, with what a broken transfer of the same contents has left. It knows nothing about what is transferred. */
import { createHash, randomUUID } from "node:crypto";
import { readdir, rename, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { asideName } from "./layout.ts";

const abandonedAfter = 120_000; // milliseconds without a byte, of a transfer on another machine

const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

const isRunning = (pid: number): boolean => {
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
};

const isAbandoned = async (folder: string, name: string): Promise<boolean> => {
  const [, of, pid] = name.split(".");
  if (of === host) return !isRunning(Number(pid));
  const stats = await stat(join(folder, name)).catch(() => undefined);
  return stats !== undefined && Date.now() - stats.mtimeMs > abandonedAfter;
};

/** A path in `aside` that only this transfer writes to. What a transfer that is gone has left of these contents lies there already. */
export const takePartial = async (library: string, sha256: string): Promise<string> => {
  const folder = join(library, asideName);
  const own = join(folder, `${sha256}.${host}.${process.pid}.${randomUUID()}.partial`);
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${sha256}.`) || !(await isAbandoned(folder, name))) continue;
    const taken = await rename(join(folder, name), own).then(
      () => true,
      () => false, // somebody else was faster
    );
    if (taken) return own;
  }
  return own;
};

/** Leaves what has arrived for the next transfer of these contents. */
export const leavePartial = (path: string): Promise<void> =>
  rename(path, path.replace(/\.\d+\.([^.]+)\.partial$/, ".0.$1.partial")).catch(() => undefined);
