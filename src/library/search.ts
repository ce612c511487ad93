/** @file Asks the index for adapters by text, tag, base and metric. It knows nothing about how the index comes to be. */
import type Database from "libsql";
import { LowrankError } from "../util/index.ts";
import type { LibraryFolder } from "./folder.ts";
import { splitTag } from "./names.ts";
import { rows, value } from "./sql.ts";

const comparisons = ["<=", ">=", "<", ">", "="] as const;

/** `loss<0.5`: a metric that an adapter must have, and how it must compare. */
export interface MetricBound {
  readonly name: string;
  readonly comparison: (typeof comparisons)[number];
  readonly value: number;
}

/** Reads `loss<=0.5`; a text of another form is `invalid-argument`. */
export const parseMetricBound = (text: string): MetricBound => {
  const [, name, comparison, number] = /^([^<>=]+)(<=|>=|<|>|=)\s*(\S+)$/.exec(text.trim()) ?? [];
  const value = Number(number);
  if (name === undefined || number === undefined || !Number.isFinite(value))
    throw new LowrankError("invalid-argument", `${JSON.stringify(text)} compares no metric with a number.`, {
      fix: 'Write for example "loss<0.5" or "accuracy>=0.9", in quotation marks.',
    });
  return { name: name.trim(), comparison: comparison as MetricBound["comparison"], value };
};

export interface LibraryQuery {
  /** Words that names, tags, base, run or notes must hold, each at least as a beginning. */
  readonly text?: string;
  /** Tags that an adapter must have: `key=value`, or a key alone for any value. */
  readonly tags?: readonly string[];
  /** The base: the first digits of its digest, or part of its name. */
  readonly base?: string;
  readonly metrics?: readonly MetricBound[];
  /** Every version that fits, instead of the highest of each name. Default false. */
  readonly everyVersion?: boolean;
  /** Default: `match` (best first) with a text, else `name`. A metric puts the lowest value first, with "-" before it the highest. */
  readonly sort?: string;
  /** Entries at most, default 100, and how many to leave out before them. */
  readonly limit?: number;
  readonly offset?: number;
}

/** A version as a list shows it. */
export interface LibraryEntry {
  readonly name: string;
  readonly version: number;
  readonly aliases: readonly string[];
  readonly digest: string;
  readonly kind: string;
  readonly rank: number | null;
  readonly alpha: number | null;
  readonly parameters: number;
  readonly bytes: number;
  /** Digest and name of the base. */
  readonly base: string | null;
  readonly baseName: string | null;
  readonly tags: readonly string[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly created: string;
}

interface Clause {
  readonly sql: string;
  readonly values: readonly unknown[];
}

const tagClause = (tag: string): Clause => {
  const [key, value] = splitTag(tag);
  if (value === "") return { sql: "version.adapter IN (SELECT adapter FROM tag WHERE key = ?)", values: [key] };
  return { sql: "version.adapter IN (SELECT adapter FROM tag WHERE key = ? AND value = ?)", values: [key, value] };
};

// `instr` takes everything in a name as it is; LIKE would not.
const baseClause = (base: string): Clause => ({
  sql: "version.adapter IN (SELECT id FROM adapter WHERE instr(base, ?) = 1 OR instr(lower(base_name), lower(?)) > 0)",
  values: [base.startsWith("sha256:") ? base : `sha256:${base}`, base],
});

const metricClause = ({ name, comparison, value }: MetricBound): Clause => ({
  sql: `version.adapter IN (SELECT adapter FROM metric WHERE name = ? AND value ${comparison} ?)`,
  values: [name, value],
});

/** The words of a text for FTS5, each as a beginning. Letters and digits only: nothing in it is an operator. */
const matchOf = (text = ""): string => (text.match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => `"${word}"*`).join(" AND ");

/** Tables and conditions of a query. */
const fromOf = ({ text, tags = [], base, metrics = [] }: LibraryQuery): Clause => {
  const match = matchOf(text);
  const clauses: readonly Clause[] = [
    { sql: "NOT version.retired", values: [] },
    ...tags.map(tagClause),
    ...(base === undefined ? [] : [baseClause(base)]),
    ...metrics.map(metricClause),
    ...(match === "" ? [] : [{ sql: "words MATCH ?", values: [match] }]),
  ];
  return {
    sql: `FROM version ${match === "" ? "" : "JOIN words ON words.rowid = version.adapter"} WHERE ${clauses.map(({ sql }) => sql).join(" AND ")}`,
    values: clauses.flatMap(({ values }) => values),
  };
};

/** What the chosen versions are put in order by; the name and the number decide between equals. */
const orderOf = ({ sort, text }: LibraryQuery): Clause => {
  const order = sort ?? (matchOf(text) === "" ? "name" : "match");
  if (order === "name") return { sql: "", values: [] };
  if (order === "created") return { sql: "(SELECT created FROM adapter WHERE id = version.adapter) DESC,", values: [] };
  if (order === "match") return { sql: "score,", values: [] };
  const descending = order.startsWith("-");
  return {
    sql: `(SELECT value FROM metric WHERE metric.name = ? AND metric.adapter = version.adapter) ${descending ? "DESC" : "ASC"} NULLS LAST,`,
    values: [descending ? order.slice(1) : order],
  };
};

type Row = [
  name: string,
  version: number,
  digest: string,
  kind: string,
  rank: number | null,
  alpha: number | null,
  parameters: number,
  bytes: number,
  base: string | null,
  baseName: string | null,
  tags: string,
  metrics: string,
  created: string,
  aliases: string,
];

const entryOf = (row: Row): LibraryEntry => {
  const [name, version, digest, kind, rank, alpha, parameters, bytes, base, baseName, tags, metrics, created, aliases] = row;
  return {
    name,
    version,
    aliases: JSON.parse(aliases) as string[],
    digest,
    kind,
    rank,
    alpha,
    parameters,
    bytes,
    base,
    baseName,
    tags: JSON.parse(tags) as string[],
    metrics: JSON.parse(metrics) as Record<string, number>,
    created,
  };
};

// An alias counts where no later claim to it exists.
const aliasesOfChosen = `(SELECT json_group_array(alias) FROM alias WHERE alias.adapter = chosen.adapter AND alias.name = chosen.name AND NOT EXISTS
  (SELECT 1 FROM alias AS later WHERE later.name = alias.name AND later.alias = alias.alias AND later.since > alias.since))`;

const select = (database: Database.Database, query: LibraryQuery): LibraryEntry[] => {
  const { everyVersion = false, limit = 100, offset = 0, text } = query;
  const from = fromOf(query);
  const order = orderOf(query);
  const score = matchOf(text) === "" ? "0" : "words.rank";
  // Beside max() SQLite gives the other columns of the row that has it.
  const [number, group] = everyVersion ? ["version.number", ""] : ["max(version.number)", "GROUP BY version.name"];
  // The page is chosen by what orders it alone, then looked up: most adapters are never read.
  const found = rows<Row>(
    database,
    `WITH page AS (
       SELECT version.name AS name, ${number} AS number, version.adapter AS adapter, ${score} AS score
       ${from.sql} ${group} ORDER BY ${order.sql} name, number DESC LIMIT ? OFFSET ?
     ), chosen AS (SELECT *, row_number() OVER () AS place FROM page)
     SELECT name, number, digest, kind, rank, alpha, parameters, bytes, base, base_name, tags, metrics, created, ${aliasesOfChosen}
     FROM chosen JOIN adapter ON adapter.id = chosen.adapter ORDER BY place`,
    ...from.values,
    ...order.values,
    limit,
    offset,
  );
  return found.map(entryOf);
};

const count = (database: Database.Database, query: LibraryQuery): number => {
  const from = fromOf(query);
  const what = query.everyVersion === true ? "count(*)" : "count(DISTINCT version.name)";
  return (
    database
      .prepare(`SELECT ${what} ${from.sql}`)
      .raw()
      .get(...from.values) as [number]
  )[0];
};

export interface SearchResult {
  readonly entries: readonly LibraryEntry[];
  /** How many fit, shown or not. */
  readonly total: number;
  /** Records that cannot be read, and so are in no list. */
  readonly unreadable: number;
}

/** The adapters that fit a query, a page at a time. */
export const search = (library: LibraryFolder, query: LibraryQuery = {}): Promise<SearchResult> =>
  library.ask((database) => ({
    entries: select(database, query),
    total: count(database, query),
    unreadable: value(database, "SELECT count(*) FROM unreadable") as number,
  }));
