/** @file Adapters by name as a cache in memory takes them: by digest, and read from disk, or brought from afar first, when they are wanted. It knows nothing about models. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { AdapterSource } from "../generate/index.ts";
import type { StoredAdapter } from "../lora/index.ts";
import { LowrankError } from "../util/index.ts";
import { folderDigest } from "./folder-digest.ts";
import { adapterFiles } from "./record.ts";
import { resolveAdapter, type ResolveAdapterOptions } from "./resolve.ts";

/** What changes when somebody writes a folder's adapter anew. */
const stampOf = async (directory: string): Promise<string> => {
  const files = await Promise.all(adapterFiles.map((name) => stat(join(directory, name), { bigint: true })));
  return files.map(({ ino, size, mtimeNs }) => [ino, size, mtimeNs].join()).join(" ");
};

interface Known {
  readonly directory: string;
  readonly stamp: string;
  readonly source: AdapterSource;
}

/**
 * Finds adapters by folder, library name or hub name, as `resolveAdapter` does. What a name means is looked up once, and again when the
 * files have changed since; an adapter that changes between its digest and its values is `invalid-file`.
 */
export const adapterSources = (
  load: (directory: string) => Promise<StoredAdapter>,
  options: ResolveAdapterOptions = {},
): ((reference: string) => Promise<AdapterSource>) => {
  const known = new Map<string, Known>();
  return async (reference) => {
    const found = known.get(reference);
    if (found !== undefined && (await stampOf(found.directory).catch(() => undefined)) === found.stamp) return found.source;
    const { directory, record } = await resolveAdapter(reference, options);
    const stamp = await stampOf(directory);
    const source: AdapterSource = {
      // The library has compared its adapter's bytes with this digest just now.
      digest: record?.digest ?? (await folderDigest(directory)),
      load: async () => {
        const stored = await load(directory);
        if ((await stampOf(directory)) !== stamp)
          throw new LowrankError("invalid-file", "The adapter changed while it was read.", { where: directory, fix: "Ask for it again." });
        return stored;
      },
    };
    known.set(reference, { directory, stamp, source });
    return source;
  };
};
