/** @file A folder for a test file, which holds its cache as well and goes when the file's tests are done. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, vi } from "vitest";

/** Makes the folder; to be called once, before any test. */
export const scratchFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  afterAll(() => {
    rmSync(folder, { recursive: true });
    vi.unstubAllEnvs();
  });
  return folder;
};
