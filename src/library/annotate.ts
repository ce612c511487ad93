/** @file Changes what is said of an adapter after it was published: tags, metrics, licence, notes and aliases. It knows nothing about its files. */
import { LowrankError } from "../util/index.ts";
import { findAdapter, getAdapter } from "./find.ts";
import type { LibraryFolder } from "./folder.ts";
import { checkAlias, checkTag, parseReference } from "./names.ts";
import { checkMetrics, claimAliases, claimsNow } from "./publish.ts";
import type { AdapterRecord } from "./record.ts";

export interface Annotation {
  readonly addTags?: readonly string[];
  readonly removeTags?: readonly string[];
  readonly metrics?: Readonly<Record<string, number>>;
  readonly removeMetrics?: readonly string[];
  readonly licence?: string;
  readonly notes?: string;
}

/** Changes what is said of an adapter; gives its record as it is then. */
export const annotate = async (
  library: LibraryFolder,
  reference: string,
  { addTags = [], removeTags = [], metrics = {}, removeMetrics = [], licence, notes }: Annotation,
): Promise<AdapterRecord> => {
  addTags.forEach(checkTag);
  checkMetrics(metrics);
  return library.change(async (writer) => {
    const record = await getAdapter(library, reference);
    const kept = Object.entries({ ...record.metrics, ...metrics }).filter(([name]) => !removeMetrics.includes(name));
    const changed: AdapterRecord = {
      ...record,
      tags: [...new Set([...record.tags, ...addTags])].filter((tag) => !removeTags.includes(tag)).sort(),
      metrics: Object.fromEntries(kept),
      licence: licence ?? record.licence,
      notes: notes ?? record.notes,
      updated: new Date().toISOString(),
    };
    await writer.write(changed);
    return changed;
  });
};

const nameOf = (reference: string): string => {
  const parsed = parseReference(reference);
  if (parsed !== undefined && parsed.kind !== "digest") return parsed.name;
  throw new LowrankError("invalid-argument", `An alias belongs to a name, and ${JSON.stringify(reference)} has none.`, {
    fix: "Give name@version.",
  });
};

/** Makes `name:alias` stand for the version that `reference` names. */
export const setAlias = async (library: LibraryFolder, reference: string, alias: string): Promise<AdapterRecord> => {
  const name = nameOf(reference);
  checkAlias(alias);
  return library.change(async (writer) => {
    const record = await getAdapter(library, reference);
    return claimAliases(library, writer, record, await claimsNow(library, name, [alias]), writer.write);
  });
};

/** Takes an alias away; one that nothing claims is `not-found`. */
export const removeAlias = (library: LibraryFolder, name: string, alias: string): Promise<void> =>
  library.change(async (writer) => {
    // Every claim goes, also one that a broken move has left.
    for (let record = await getAdapter(library, `${name}:${alias}`); ;) {
      await writer.write({ ...record, aliases: record.aliases.filter((claim) => claim.name !== name || claim.alias !== alias) });
      const next = await findAdapter(library, `${name}:${alias}`);
      if (next === undefined) return;
      record = next;
    }
  });
