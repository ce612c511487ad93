/** @file Gives an adapter a name: claims the version, moves the aliases, and merges what is said with what was known. It knows nothing about where the files came from. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type Database from "libsql";
import { LowrankError } from "../util/index.ts";
import type { DataEmbedding } from "./data-embedding.ts";
import { digestFile } from "./digest.ts";
import type { LibraryFolder, Writer } from "./folder.ts";
import { adapterPath } from "./layout.ts";
import { checkAlias, checkName, checkTag, isVersionNumber } from "./names.ts";
import { adapterFiles, type AdapterRecord, type AliasClaim, type Lineage, type PublishedVersion } from "./record.ts";
import { rows } from "./sql.ts";
import type { StagedAdapter } from "./stage.ts";

/** What people say of an adapter when they publish it. */
export interface Publication {
  readonly name: string;
  /** `prod` and the like, which then stand for this version. */
  readonly aliases?: readonly string[];
  /** `key=value` or plain. */
  readonly tags?: readonly string[];
  readonly metrics?: Readonly<Record<string, number>>;
  readonly lineage?: Partial<Lineage>;
  /** What its training data are about. */
  readonly embedding?: DataEmbedding | null;
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
export const versionsOf = (database: Database.Database, name: string): Map<number, string> =>
  new Map(
    rows<[number, string]>(
      database,
      "SELECT number, digest FROM version JOIN adapter ON adapter.id = version.adapter WHERE version.name = ?",
      name,
    ),
  );

/** The adapters that claim an alias, with the times of their claims. */
const claimantsOf = (database: Database.Database, name: string, alias: string): [digest: string, since: string][] =>
  rows<[string, string]>(
    database,
    "SELECT digest, since FROM alias JOIN adapter ON adapter.id = alias.adapter WHERE alias.name = ? AND alias.alias = ?",
    name,
    alias,
  );

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
  format: 2,
  digest,
  files,
  facts,
  names: [],
  retired: [],
  aliases: [],
  tags: [],
  metrics: {},
  lineage: { base, baseName, data: null, run: null, parents: [] },
  embedding: null,
  licence: null,
  notes: "",
  created: now,
  updated: now,
});

/** What was known, with what is said now in front of it. */
const merged = (
  record: AdapterRecord,
  { tags = [], metrics = {}, lineage = {}, embedding, licence, notes }: Publication,
  now: string,
): AdapterRecord => ({
  ...record,
  tags: [...new Set([...record.tags, ...tags])].sort(),
  metrics: { ...record.metrics, ...metrics },
  lineage: { ...record.lineage, ...Object.fromEntries(Object.entries(lineage).filter(([, value]) => value !== null)) },
  embedding: embedding ?? record.embedding,
  licence: licence ?? record.licence,
  notes: notes !== undefined && notes !== "" ? notes : record.notes,
  updated: now,
});

/** The number that an adapter has or had under a name, the one wanted where that is free, or the next. */
const numberFor = ({ digest, retired }: AdapterRecord, taken: ReadonlyMap<number, string>, name: string, wanted?: number): number => {
  const had = retired.find((one) => one.name === name)?.version;
  if (had !== undefined) return had;
  const isFree = wanted !== undefined && (taken.get(wanted) ?? digest) === digest;
  if (isFree) return wanted;
  const next = Math.max(0, ...taken.keys()) + 1;
  if (!isVersionNumber(next))
    throw new LowrankError("invalid-argument", `The name ${name} has no number left for another version.`, { fix: "Choose another name." });
  return next;
};

/** The record under a name, with a number that no other adapter has there. */
export const named = (
  record: AdapterRecord,
  taken: ReadonlyMap<number, string>,
  { name, version: wanted, published }: { readonly name: string; readonly version?: number; readonly published: string },
): AdapterRecord => {
  if (record.names.some((one) => one.name === name)) return record;
  const version = numberFor(record, taken, name, wanted);
  const retired = record.retired.filter((one) => one.name !== name || one.version !== version);
  return { ...record, names: [...record.names, { name, version, published }], retired };
};

/** Claims to aliases of a name that are later than all there are, and not before now. */
export const claimsNow = async (library: LibraryFolder, name: string, aliases: readonly string[]): Promise<AliasClaim[]> => {
  const claimants = await library.ask((database) => aliases.map((alias) => claimantsOf(database, name, alias)));
  return aliases.map((alias, index) => {
    const times = claimants[index].map(([, since]) => Date.parse(since) + 1 || 0);
    return { name, alias, since: new Date(Math.max(Date.now(), ...times)).toISOString() };
  });
};

/** Those of an adapter's claims that are later than every other adapter's. */
export const latestClaims = (library: LibraryFolder, digest: string, claims: readonly AliasClaim[]): Promise<AliasClaim[]> =>
  library.ask((database) =>
    claims.filter(({ name, alias, since }) =>
      claimantsOf(database, name, alias).every(([other, earlier]) => other === digest || earlier < since),
    ),
  );

/** Writes a record with claims that are the latest, then takes the aliases from the adapters that claimed them before. */
export const claimAliases = async (
  library: LibraryFolder,
  writer: Writer,
  record: AdapterRecord,
  claims: readonly AliasClaim[],
  write: (record: AdapterRecord) => Promise<void>,
): Promise<AdapterRecord> => {
  const earlier = await library.ask((database) =>
    claims.flatMap(({ name, alias }) => claimantsOf(database, name, alias).map(([digest]) => digest)),
  );
  const others = (aliases: readonly AliasClaim[]): AliasClaim[] =>
    aliases.filter((claim) => !claims.some(({ name, alias }) => name === claim.name && alias === claim.alias));
  const claiming = { ...record, aliases: [...others(record.aliases), ...claims] };
  await write(claiming);
  for (const digest of new Set(earlier)) {
    const other = digest === record.digest ? undefined : library.read(digest);
    if (other !== undefined) await writer.write({ ...other, aliases: others(other.aliases) });
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

/** Takes damaged files out of an adapter's place, so that whole ones can go there. Needs the lock. */
export const clearDamage = async (
  library: LibraryFolder,
  writer: Writer,
  adapter: Pick<AdapterRecord, "digest" | "files">,
): Promise<void> => {
  if (await isWhole(library.folder, adapter)) return;
  const damaged = await writer.withdraw(adapter.digest);
  if (damaged !== undefined) await rm(damaged, { recursive: true, force: true });
};

/** Puts a staged adapter in its place and publishes it; one that the library has keeps its files, unless they are damaged. */
export const publish = (library: LibraryFolder, staged: StagedAdapter, publication: Publication): Promise<Published> =>
  library.change(async (writer) => {
    const now = new Date().toISOString();
    const { name, aliases = [] } = publication;
    const taken = await library.ask((database) => versionsOf(database, name));
    const known = library.read(staged.digest);
    // A folder may lie there that no record speaks of, from a writer that broke off.
    await clearDamage(library, writer, staged);
    const described = merged({ ...(known ?? fresh(staged, now)), files: staged.files }, publication, now);
    const record = named(described, taken, { name, published: now });
    const claims = await claimsNow(library, name, aliases);
    const published = await claimAliases(library, writer, record, claims, (claiming) => writer.place(claiming, staged.path));
    const version = published.names.find((one) => one.name === name)!;
    return { record: published, version, isNew: known?.names.some((one) => one.name === name) !== true };
  });
