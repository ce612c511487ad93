/** @file A table whose rows come one by one: redrawn in place on a terminal, a line for each row elsewhere. It knows nothing about what the cells mean. */
import type { CommandContext } from "../context.ts";
import { visibleWidth } from "../ui/width.ts";
import { fittedTable, type FittedColumn } from "./fitted-table.ts";

export interface GrowingTable {
  add(row: readonly string[]): void;
  /** Below the rows, on a terminal, until the next row: what the table waits for. */
  wait(what: string): void;
  /** What the table waited for is taken away. */
  close(): void;
}

const clearBelow = "\x1b[J";

/**
 * @example
 * const table = growingTable([{ title: "base" }, { title: "loss", align: "right" }], context);
 * table.add(["fp32", "2.413"]);
 * table.close();
 */
export const growingTable = (
  columns: readonly FittedColumn[],
  context: Pick<CommandContext, "isTerminal" | "columns" | "colour" | "write" | "out">,
): GrowingTable => {
  const rows: (readonly string[])[] = [];
  let drawn: string[] = [];
  let isWaiting = false;
  // A terminal that has become narrower since has folded the lines.
  const above = (): number =>
    drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleWidth(line) / Math.max(1, context.columns))), 0);
  const draw = (below: readonly string[]): void => {
    isWaiting = below.length > 0;
    const lines = [...(rows.length === 0 ? [] : fittedTable(columns, rows, context).split("\n")), ...below];
    const back = drawn.length === 0 ? "" : `\r\x1b[${above()}A${clearBelow}`;
    context.write(back + lines.map((line) => `${line}\n`).join(""));
    drawn = lines;
  };
  return {
    add: (row) => {
      rows.push(row);
      if (context.isTerminal) draw([]);
      else context.out([row[0], ...columns.slice(1).map(({ title }, index) => `${title} ${row[index + 1]}`)].join("  "));
    },
    wait: (what) => {
      if (context.isTerminal) draw([what]);
    },
    close: () => {
      if (isWaiting) draw([]);
    },
  };
};
