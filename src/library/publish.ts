/** @file Gives an adapter a name: claims the version, moves the aliases, and merges what is said with what was known. It knows nothing about where the files came from. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type Database from "libsql";
import { LowrankError } from "../util/index.ts";
import { digestFile } from "./digest.ts";
import type { LibraryFolder, Writer } from "./folder.ts";
import { adapterPath } from "./layout.ts";
import { checkAlias, checkName, checkTag } from "./names.ts";
import { adapterFiles, type AdapterRecord, type Lineage, type PublishedVersion } from "./record.ts";
import type { StagedAdapter } from "./stage.ts";

/** What people say of an adapter when they publish it. */
export interface Publication {
  readonly name: string;
  /** The version it had elsewhere: kept where it is free. Default: the next. */
  readonly version?: number;
  /** `prod` and the like, which then stand for this version. */
  readonly aliases?: readonly string[];
  /** `key=value` or plain. */
  readonly tags?: readonly string[];
  readonly metrics?: Readonly<Record<string, number>>;
  readonly lineage?: Partial<Lineage>;
  readonly licence?: string | null;
  readonly notes?: string;
}

export interface Published {
  readonly record: AdapterRecord;
  readonly version: PublishedVersion;
  /** False where the library had this very adapter under this name already. */
  readonly isNew: boolean;
}

/** Every number that a name has had, with the adapter it stands for. */
const versionsOf = (database: Database.Database, name: string): Map<number, string> =>
  new Map(
    database
      .prepare("SELECT number, digest FROM version JOIN adapter ON adapter.id = version.adapter WHERE version.name = ?")
      .raw()
      .all(name) as [number, string][],
  );

/** The adapters that claim an alias, with the times of their claims. */
const claimantsOf = (database: Database.Database, name: string, alias: string): [digest: string, since: string][] =>
  database
    .prepare("SELECT digest, since FROM alias JOIN adapter ON adapter.id = alias.adapter WHERE alias.name = ? AND alias.alias = ?")
    .raw()
    .all(name, alias) as [string, string][];

export const checkMetrics = (metrics: Readonly<Record<string, number>>): void => {
  for (const [name, value] of Object.entries(metrics)) {
    checkTag(name);
    if (!Number.isFinite(value))
      throw new LowrankError("invalid-argument", `The metric ${name} is ${value}, which no record can hold.`, {
        fix: "Give a finite number.",
      });
  }
};

/** Checks everything that people gave, before anything is done. */
export const checkPublication = ({ name, aliases = [], tags = [], metrics = {} }: Publication): void => {
  checkName(name);
  aliases.forEach(checkAlias);
  tags.forEach(checkTag);
  checkMetrics(metrics);
};

const fresh = ({ digest, files, facts, base, baseName }: StagedAdapter, now: string): AdapterRecord => ({
  format: 1,
  digest,
  files,
  facts,
  names: [],
  retired: [],
  aliases: [],
  tags: [],
  metrics: {},
  lineage: { base, baseName, data: null, run: null, parents: [] },
  licence: null,
  notes: "",
  created: now,
});

/** What was known, with what is said now in front of it. */
export const merged = (
  record: AdapterRecord,
  { tags = [], metrics = {}, lineage = {}, licence, notes }: Omit<Publication, "name">,
): AdapterRecord => ({
  ...record,
  tags: [...new Set([...record.tags, ...tags])].sort(),
  metrics: { ...record.metrics, ...metrics },
  lineage: { ...record.lineage, ...Object.fromEntries(Object.entries(lineage).filter(([, value]) => value !== null)) },
  licence: licence ?? record.licence,
  notes: notes !== undefined && notes !== "" ? notes : record.notes,
});

/** The record under a name: with the version that it has or had there, the one wanted if that is free, or the next. */
const named = (
  record: AdapterRecord,
  taken: ReadonlyMap<number, string>,
  { name, version: wanted }: Publication,
  now: string,
): AdapterRecord => {
  if (record.names.some((one) => one.name === name)) return record;
  const had = record.retired.find((one) => one.name === name);
  const free = wanted !== undefined && (taken.get(wanted) ?? record.digest) === record.digest;
  const version = had?.version ?? (free ? wanted : Math.max(0, ...taken.keys()) + 1);
  return {
    ...record,
    names: [...record.names, { name, version, published: now }],
    retired: record.retired.filter((one) => one !== had),
  };
};

/** A time after all of these, and now at the earliest. */
const after = (times: readonly string[], now: string): string =>
  new Date(Math.max(Date.parse(now), ...times.map((time) => Date.parse(time) + 1 || 0))).toISOString();

/** Makes aliases of a name stand for an adapter: its own claims first, then the others' are withdrawn. Needs the lock. */
export const claimAliases = async (
  library: LibraryFolder,
  record: AdapterRecord,
  name: string,
  aliases: readonly string[],
  write: (record: AdapterRecord) => Promise<void>,
  writer: Writer,
): Promise<AdapterRecord> => {
  const now = new Date().toISOString();
  const claimants = await library.ask((database) => aliases.map((alias) => claimantsOf(database, name, alias)));
  const others = record.aliases.filter((claim) => claim.name !== name || !aliases.includes(claim.alias));
  const claims = aliases.map((alias, index) => ({
    name,
    alias,
    since: after(
      claimants[index].map(([, since]) => since),
      now,
    ),
  }));
  const claiming = { ...record, aliases: [...others, ...claims] };
  await write(claiming);
  for (const digest of new Set(claimants.flat().map(([claimant]) => claimant))) {
    const other = digest === record.digest ? undefined : library.read(digest);
    if (other === undefined) continue;
    await writer.write({ ...other, aliases: other.aliases.filter((claim) => claim.name !== name || !aliases.includes(claim.alias)) });
  }
  return claiming;
};

/** True where the files in an adapter's place are those of its record. */
export const isWhole = async (library: string, { digest, files }: Pick<AdapterRecord, "digest" | "files">): Promise<boolean> => {
  for (const name of adapterFiles) {
    const found = await digestFile(join(adapterPath(library, digest), name)).catch(() => undefined);
    if (found?.sha256 !== files[name].sha256) return false;
  }
  return true;
};

/** Puts a staged adapter in its place and publishes it; one that the library has keeps its files, unless they are damaged. */
export const publish = (library: LibraryFolder, staged: StagedAdapter, publication: Publication): Promise<Published> =>
  library.change(async (writer) => {
    const now = new Date().toISOString();
    const { name, aliases = [] } = publication;
    const taken = await library.ask((database) => versionsOf(database, name));
    const known = library.read(staged.digest);
    if (known !== undefined && !(await isWhole(library.folder, staged))) {
      const damaged = await writer.withdraw(staged.digest);
      if (damaged !== undefined) await rm(damaged, { recursive: true, force: true });
    }
    const before = known ?? fresh(staged, now);
    const record = named(merged({ ...before, files: staged.files }, publication), taken, publication, now);
    const version = record.names.find((one) => one.name === name)!;
    const published = await claimAliases(library, record, name, aliases, (claiming) => writer.place(claiming, staged.path), writer);
    return { record: published, version, isNew: known?.names.some((one) => one.name === name) !== true };
  });
