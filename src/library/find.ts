/** @file Finds the adapter that a reference stands for. It knows nothing about where the reference was said. */
import type Database from "libsql";
import { LowrankError } from "../util/index.ts";
import type { LibraryFolder } from "./folder.ts";
import { latest, parseReference, type AdapterReference } from "./names.ts";
import type { AdapterRecord } from "./record.ts";
import { rows, value } from "./sql.ts";

const byDigits = (database: Database.Database, digits: string): string | undefined => {
  const found = rows<[string]>(
    database,
    "SELECT digest FROM adapter WHERE digest >= ? AND digest < ? ORDER BY digest LIMIT 2",
    `sha256:${digits}`,
    `sha256:${digits}g`,
  );
  if (found.length > 1)
    throw new LowrankError("invalid-argument", `The digests of several adapters begin with sha256:${digits}.`, {
      fix: "Give more digits.",
    });
  return found[0]?.[0];
};

const ofVersion = "SELECT digest FROM version JOIN adapter ON adapter.id = version.adapter WHERE version.name = ? AND NOT retired";

/** The statement that finds each kind of reference, and what goes into it. */
const queries: {
  readonly [Kind in Exclude<AdapterReference["kind"], "digest">]: (
    reference: Extract<AdapterReference, { kind: Kind }>,
  ) => readonly [sql: string, ...values: readonly unknown[]];
} = {
  latest: ({ name }) => [`${ofVersion} ORDER BY number DESC LIMIT 1`, name],
  version: ({ name, version }) => [`${ofVersion} AND number = ?`, name, version],
  // Where a move of the alias was broken off, two claim it.
  alias: ({ name, alias }) => [
    "SELECT digest FROM alias JOIN adapter ON adapter.id = alias.adapter WHERE alias.name = ? AND alias.alias = ? ORDER BY since DESC, digest LIMIT 1",
    name,
    alias,
  ],
};

/** The digest that a reference stands for in an index. */
export const findDigest = (database: Database.Database, reference: AdapterReference): string | undefined => {
  if (reference.kind === "digest") return byDigits(database, reference.digits);
  const query = queries[reference.kind] as (reference: AdapterReference) => readonly [sql: string, ...values: readonly unknown[]];
  const [sql, ...values] = query(reference);
  return value(database, sql, ...values) as string | undefined;
};

/** The record of an adapter, undefined where the library has none of this reference. */
export const findAdapter = async (library: LibraryFolder, text: string): Promise<AdapterRecord | undefined> => {
  const reference = parseReference(text);
  if (reference === undefined) return undefined;
  const digest = await library.ask((database) => findDigest(database, reference));
  return digest === undefined ? undefined : library.read(digest);
};

/** Names that begin as this one does, up to its last two letters. */
const namesLike = (database: Database.Database, text: string): string[] => {
  const beginning = text.slice(0, Math.max(3, text.length - 2));
  return rows<[string]>(
    database,
    "SELECT DISTINCT name FROM version WHERE NOT retired AND substr(name, 1, ?) = ? ORDER BY name LIMIT 4",
    beginning.length,
    beginning,
  ).flat();
};

/** What else there is of a name that was asked for in vain. */
const advice = (database: Database.Database, reference: AdapterReference | undefined, text: string): string => {
  if (reference !== undefined && reference.kind !== "digest") {
    const numbers = rows<[number, number]>(
      database,
      "SELECT number, retired FROM version WHERE name = ? ORDER BY number DESC LIMIT 8",
      reference.name,
    );
    const retired = numbers.some(([number, gone]) => gone === 1 && reference.kind === "version" && number === reference.version);
    const here = numbers.filter(([, gone]) => gone === 0).map(([number]) => `${reference.name}@${number}`);
    if (here.length > 0) return `${retired ? "It was removed. " : ""}There is ${here.join(", ")}.`;
    if (numbers.length > 0) return "It was removed.";
  }
  const similar = namesLike(database, text);
  return similar.length > 0 ? `There is ${similar.join(", ")}.` : "See `lowrank library list`.";
};

/** The record of an adapter; one that the library has not is `not-found`. */
export const getAdapter = async (library: LibraryFolder, text: string): Promise<AdapterRecord> => {
  const record = await findAdapter(library, text);
  if (record !== undefined) return record;
  const reference = parseReference(text);
  throw new LowrankError(
    "not-found",
    reference === undefined
      ? `${JSON.stringify(text)} names no adapter: give name, name@version, name:alias (${latest} is the highest version) or sha256:digits.`
      : `The library has no adapter ${text}.`,
    { where: library.folder, fix: await library.ask((database) => advice(database, reference, text)) },
  );
};
