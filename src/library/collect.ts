/** @file Frees the space of what nobody can ask for: adapters without a name, and what broken writers left. It knows nothing about who used it. */
import { readdirSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { LibraryFolder } from "./folder.ts";
import { asideName, digestOfEntry, shardPath, shardsName } from "./layout.ts";

export interface CollectOptions {
  /** Say what would go and leave it. Default false. */
  readonly dryRun?: boolean;
  /** Seconds that something half-written must have lain still to count as left. Default an hour. */
  readonly leftAfter?: number;
}

/** Something that goes. */
export interface Collected {
  /** An adapter without a name, files that no record names, or what a broken writer left. */
  readonly kind: "adapter" | "orphan" | "leftover";
  /** The digest, or the name in `aside`. */
  readonly what: string;
  readonly bytes: number;
}

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder).sort();
  } catch {
    return []; // gone, or not there yet
  }
};

/** Bytes below a path, and when the newest of them changed, in milliseconds. */
const sizeAndAge = (path: string): { bytes: number; changed: number } => {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return { bytes: 0, changed: Infinity };
  if (!stats.isDirectory()) return { bytes: stats.size, changed: stats.mtimeMs };
  const inside = namesIn(path).map((name) => sizeAndAge(join(path, name)));
  return {
    bytes: inside.reduce((sum, one) => sum + one.bytes, 0),
    changed: Math.max(stats.mtimeMs, ...inside.map(({ changed }) => changed)),
  };
};

/** Whether an adapter's files are asked for by a name, were once, or have no record at all. What cannot be read is left alone. */
const useOf = (library: LibraryFolder, digest: string): "named" | "adapter" | "orphan" => {
  try {
    const record = library.read(digest);
    if (record === undefined) return "orphan";
    return record.names.length === 0 ? "adapter" : "named";
  } catch {
    return "named";
  }
};

/** Removes what can go, one thing after the other, and says each. */
export async function* collect(
  library: LibraryFolder,
  { dryRun = false, leftAfter = 3600 }: CollectOptions = {},
): AsyncGenerator<Collected> {
  const { folder } = library;
  const isLeft = (changed: number): boolean => Date.now() - changed >= leftAfter * 1000;

  for (const shard of namesIn(join(folder, shardsName))) {
    for (const name of namesIn(shardPath(folder, shard))) {
      const digest = name.endsWith(".json") ? undefined : digestOfEntry(name);
      if (digest === undefined) continue;
      if (useOf(library, digest) === "named") continue;
      const { bytes } = sizeAndAge(join(shardPath(folder, shard), name));
      const gone = await library.change(async (writer) => {
        const use = useOf(library, digest); // under the lock nobody is publishing it
        return use === "named" ? undefined : { use, path: dryRun ? undefined : await writer.withdraw(digest) };
      });
      if (gone === undefined) continue;
      if (gone.path !== undefined) await rm(gone.path, { recursive: true, force: true });
      yield { kind: gone.use, what: digest, bytes };
    }
  }
  for (const name of namesIn(join(folder, asideName))) {
    const path = join(folder, asideName, name);
    const { bytes, changed } = sizeAndAge(path);
    if (!isLeft(changed)) continue;
    if (!dryRun) await rm(path, { recursive: true, force: true });
    yield { kind: "leftover", what: name, bytes };
  }
}
