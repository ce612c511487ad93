/** @file Tables with aligned columns for a terminal. It knows nothing about what the cells mean. */
import pc from "picocolors";
import { padEnd, padStart, visibleWidth } from "./width.ts";

export interface Column {
  readonly title: string;
  /** Numbers stand right, default left. */
  readonly align?: "left" | "right";
}

const gap = "  ";

/** Rows under a line of titles; cells may be coloured. Lines have no spaces at their ends. */
export const formatTable = (columns: readonly Column[], rows: readonly (readonly string[])[], { colour = false } = {}): string => {
  const colours = pc.createColors(colour);
  const widths = columns.map(({ title }, index) => Math.max(...[title, ...rows.map((row) => row[index])].map(visibleWidth)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => (columns[index].align === "right" ? padStart(cell, widths[index]) : padEnd(cell, widths[index])))
      .join(gap)
      .trimEnd();
  const rule = colours.dim(widths.map((width) => "─".repeat(width)).join(gap));
  return [line(columns.map(({ title }) => title)), rule, ...rows.map(line)].join("\n");
};
