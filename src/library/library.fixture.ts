/** @file A temporary folder for a file of tests of the library. It knows nothing about what they test. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** An empty folder for a file of tests, removed after them; caches go beside it. */
export const workshop = (): string => {
  const parent = mkdtempSync(join(tmpdir(), "lowrank-library-"));
  process.env["LOWRANK_CACHE"] = join(parent, "cache");
  afterAll(() => rmSync(parent, { recursive: true, force: true }));
  const folder = join(parent, "work");
  mkdirSync(folder);
  return folder;
};
