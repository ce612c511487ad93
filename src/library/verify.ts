/** @file Looks whether every adapter is as it was published: records, files byte for byte, and what the index says of them. It knows nothing about repairing. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readJsonObject } from "../formats/index.ts";
import { LowrankError, messageOf } from "../util/index.ts";
import { adapterDigest, digestFile } from "./digest.ts";
import type { LibraryFolder } from "./folder.ts";
import { adapterPath, asideName, digestOfEntry, recordPath, shardOf, shardPath, shardsName } from "./layout.ts";
import { adapterFiles, labelOf, type AdapterRecord } from "./record.ts";
import { rows } from "./sql.ts";

/** What was found of one adapter, or of the library as a whole. */
export interface Finding {
  /** `orphan` and `leftover` are traces of a broken writer that harm nothing and go with the next collection. */
  readonly kind: "sound" | "damaged" | "orphan" | "leftover";
  readonly what: string;
  /** What is wrong, in sentences; empty for what is sound. */
  readonly problems: readonly string[];
  /** Bytes that were read. */
  readonly bytes: number;
}

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

/** What is wrong with the files of an adapter. */
export const checkFiles = async (
  folder: string,
  { digest, files, lineage }: AdapterRecord,
): Promise<{ problems: string[]; bytes: number }> => {
  const place = adapterPath(folder, digest);
  const problems: string[] = [];
  let bytes = 0;
  for (const name of adapterFiles) {
    try {
      const found = await digestFile(join(place, name));
      bytes += found.bytes;
      if (found.bytes !== files[name].bytes) problems.push(`${name} has ${found.bytes} bytes where ${files[name].bytes} were published.`);
      else if (found.sha256 !== files[name].sha256) problems.push(`${name} is not the file that was published: its digest differs.`);
    } catch (error) {
      problems.push(LowrankError.is(error) && error.code === "not-found" ? `${name} is missing.` : messageOf(error));
    }
  }
  for (const name of namesIn(place).filter((one) => !adapterFiles.some((file) => file === one)))
    problems.push(`${name} does not belong there.`);
  if (problems.length > 0) return { problems, bytes };
  const config = await readJsonObject(join(place, "adapter_config.json"));
  if (adapterDigest({ weights: files["adapter_model.safetensors"].sha256, config, base: lineage.base }) !== digest)
    problems.push("The digest is not that of weights, configuration and base.");
  return { problems, bytes };
};

/** What the index says of adapters, as texts to compare. */
const indexed = (library: LibraryFolder, where: "shard" | "digest", wanted: string): Promise<Map<string, string>> =>
  library.ask((database) => {
    const found = rows<[string, string, string]>(
      database,
      `SELECT digest, tags, (SELECT json_group_array(name || '@' || number) FROM version WHERE adapter = id AND NOT retired)
       FROM adapter WHERE ${where} = ?`,
      wanted,
    );
    return new Map(
      found.map(([digest, tags, versions]) => [digest, indexText(JSON.parse(tags) as string[], JSON.parse(versions) as string[])]),
    );
  });

const indexText = (tags: readonly string[], versions: readonly string[]): string => JSON.stringify([tags, versions.toSorted()]);

const textOf = ({ tags, names }: AdapterRecord): string =>
  indexText(
    tags,
    names.map(({ name, version }) => `${name}@${version}`),
  );

/** What there is to say of an adapter; nothing where only its numbers are kept. */
const checkAdapter = async (library: LibraryFolder, digest: string, index: ReadonlyMap<string, string>): Promise<Finding | undefined> => {
  let record: AdapterRecord | undefined;
  let agrees: boolean;
  try {
    record = library.read(digest);
    if (record === undefined) return { kind: "orphan", what: digest, problems: ["No record names these files."], bytes: 0 };
    agrees = index.get(digest) === textOf(record);
    if (!agrees) {
      // Somebody may have changed both in between.
      const now = await indexed(library, "digest", digest);
      record = library.read(digest) ?? record;
      agrees = now.get(digest) === textOf(record);
    }
  } catch (error) {
    return { kind: "damaged", what: digest, problems: [messageOf(error)], bytes: 0 };
  }
  const isCollected = record.names.length === 0 && !existsSync(adapterPath(library.folder, digest));
  if (isCollected && agrees) return undefined;
  const { problems, bytes } = isCollected ? { problems: [], bytes: 0 } : await checkFiles(library.folder, record);
  const all = [
    ...(record.digest === digest ? [] : [`The record is of ${record.digest}.`]),
    ...problems,
    ...(agrees ? [] : ["The index says something else than the record: run `lowrank library rebuild`."]),
  ];
  return { kind: all.length === 0 ? "sound" : "damaged", what: labelOf(record), problems: all, bytes };
};

/** Looks at the adapters that are named, or at everything there is, one after the other. */
export async function* verifyLibrary(library: LibraryFolder, digests?: readonly string[]): AsyncGenerator<Finding> {
  const { folder } = library;
  if (digests !== undefined) {
    for (const digest of digests) {
      const finding = await checkAdapter(library, digest, await indexed(library, "digest", digest));
      if (finding !== undefined) yield finding;
    }
    return;
  }
  for (const shard of namesIn(join(folder, shardsName))) {
    const entries = namesIn(shardPath(folder, shard));
    const found = new Set(entries.flatMap((name) => digestOfEntry(name) ?? []));
    for (const name of entries) {
      const digest = digestOfEntry(name);
      if (digest === undefined || shardOf(digest) !== shard)
        yield { kind: "leftover", what: join(shardsName, shard, name), problems: ["It does not belong there."], bytes: 0 };
    }
    const index = await indexed(library, "shard", shard);
    for (const digest of found) {
      // Removed while this was looking.
      if (!existsSync(recordPath(folder, digest)) && !existsSync(adapterPath(folder, digest))) continue;
      const finding = await checkAdapter(library, digest, index);
      if (finding !== undefined) yield finding;
    }
  }
  for (const name of namesIn(join(folder, asideName)))
    yield { kind: "leftover", what: join(asideName, name), problems: ["A writer left it, or is still writing it."], bytes: 0 };
}
