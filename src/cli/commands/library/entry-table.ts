/** @file Adapters of the library as a table. It knows nothing about how they were found. */
import type { LibraryEntry, SearchResult } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { formatBytes, formatCount, formatFigure } from "../../ui/format.ts";
import { truncate } from "../../ui/width.ts";
import { fittedTable } from "../fitted-table.ts";

const columns = [
  { title: "adapter" },
  { title: "aliases", optional: true },
  { title: "metrics", optional: true },
  { title: "tags", optional: true },
  { title: "rank", align: "right", optional: true },
  { title: "size", align: "right", optional: true },
  { title: "base", optional: true },
  { title: "added", optional: true },
] as const;

export const metricsText = (metrics: Readonly<Record<string, number>>): string =>
  Object.entries(metrics)
    .map(([name, value]) => `${name} ${formatFigure(value)}`)
    .join(", ");

/** The base by its name without folders, or the digits of its digest. */
const baseText = ({ base, baseName }: Pick<LibraryEntry, "base" | "baseName">): string =>
  baseName === null ? (base?.slice(7, 15) ?? "") : (baseName.split(/[/\\]/).findLast((part) => part !== "") ?? "");

const widest = 32;

const rowOf = (entry: LibraryEntry): string[] => [
  `${entry.name}@${entry.version}`,
  entry.aliases.join(", "),
  truncate(metricsText(entry.metrics), widest),
  truncate(entry.tags.join(", "), widest),
  entry.rank === null ? "" : String(entry.rank),
  formatBytes(entry.bytes),
  truncate(baseText(entry), widest),
  entry.created.slice(0, 10),
];

/** Shows what a search found, and gives what `--json` prints. */
export const showEntries = ({ entries, total, unreadable }: SearchResult, context: CommandContext): object => {
  if (entries.length > 0) context.out(fittedTable(columns, entries.map(rowOf), context));
  if (total === 0) context.out("No adapter of this library fits.");
  else if (entries.length < total) context.out(`${formatCount(entries.length)} of ${formatCount(total)}; see more with --limit.`);
  if (unreadable > 0) context.err(`Note: ${formatCount(unreadable)} records cannot be read. \`lowrank library verify\` names them.`);
  return { entries, total, unreadable };
};
