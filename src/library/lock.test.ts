import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { expect, it } from "vitest";
import { workshop } from "./library.fixture.ts";
import { withLock } from "./lock.ts";

const folder = workshop();

/** Reads a number, waits, and writes the next: two at once would lose one. */
const count = async (file: string): Promise<void> => {
  const number = Number(readFileSync(file, "utf8"));
  await wait(1);
  writeFileSync(file, String(number + 1));
};

const child = (program: string) =>
  spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });

const lockModule = JSON.stringify(new URL("lock.ts", import.meta.url).href);

it("lets one at a time in, in this process and in others, and is free when its holder is killed", async () => {
  const [lock, file] = [join(folder, "lock"), join(folder, "count")];
  writeFileSync(file, "0");
  const holder = child(`import { withLock } from ${lockModule};
    await withLock(${JSON.stringify(lock)}, async () => { process.stdout.write("held"); await new Promise((done) => setTimeout(done, 60_000)); });`);
  await once(holder.stdout, "data");
  let held = true;
  const first = withLock(lock, async () => expect(held).toBe(false));
  await wait(20);
  held = false;
  holder.kill("SIGKILL");
  await first;

  const other = child(`import { withLock } from ${lockModule};
    import { readFileSync, writeFileSync } from "node:fs";
    const file = ${JSON.stringify(file)};
    for (let time = 0; time < 40; time++) await withLock(${JSON.stringify(lock)}, async () => {
      const number = Number(readFileSync(file, "utf8"));
      await new Promise((done) => setTimeout(done, 1));
      writeFileSync(file, String(number + 1));
    });`);
  const ended = once(other, "exit");
  await Promise.all(Array.from({ length: 40 }, () => withLock(lock, () => count(file))));
  expect(await ended).toEqual([0, null]);
  expect(readFileSync(file, "utf8")).toBe("80");
});

it("is free again after work that failed", async () => {
  const lock = join(folder, "failing");
  await expect(withLock(lock, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await withLock(lock, () => Promise.resolve("yes"))).toBe("yes");
});
