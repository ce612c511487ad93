/** @file What is in a folder, byte for byte. It knows nothing about what the files mean. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";

/** Digests of a folder's files, and where its links lead, by path; nothing where there is no folder. */
export const snapshot = (folder: string): Record<string, string> => {
  if (!existsSync(folder)) return {};
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry): [string, string][] => {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) return [[relative(folder, path), `→ ${readlinkSync(path)}`]];
    return entry.isFile() ? [[relative(folder, path), createHash("sha256").update(readFileSync(path)).digest("hex")]] : [];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
};

/** The files that a run is for: an adapter, or a model, as they lie in its folder. */
export const result = (folder: string): Record<string, string> =>
  Object.fromEntries(Object.entries(snapshot(folder)).filter(([path]) => !/^(checkpoints|last|best|log\.jsonl)/.test(path)));
