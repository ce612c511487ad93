/** @file A table that gives up columns where a terminal is too narrow for all of them. It knows nothing about what the cells mean. */
import type { CommandContext } from "../context.ts";
import { formatTable, type Column } from "../ui/table.ts";
import { visibleWidth } from "../ui/width.ts";

/** A column; one that is `optional` is left out where the table would not fit otherwise, the last one first. */
export interface FittedColumn extends Column {
  readonly optional?: boolean;
}

export type TableContext = Pick<CommandContext, "isTerminal" | "columns" | "colour">;

/** The table with as many optional columns as a terminal has room for, or all of them where there is none. */
export const fittedTable = (columns: readonly FittedColumn[], rows: readonly (readonly string[])[], context: TableContext): string => {
  const table = formatTable(columns, rows, context);
  const last = columns.findLastIndex(({ optional }) => optional === true);
  if (!context.isTerminal || last === -1 || table.split("\n").every((line) => visibleWidth(line) <= context.columns)) return table;
  return fittedTable(
    columns.toSpliced(last, 1),
    rows.map((row) => row.toSpliced(last, 1)),
    context,
  );
};
