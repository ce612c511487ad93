import { describe, expect, it } from "vitest";
import { fittedTable } from "./fitted-table.ts";

const columns = [{ title: "name" }, { title: "first", optional: true }, { title: "size" }, { title: "second", optional: true }];
const rows = [["abcdef", "1", "22", "3"]];
const titles = (isTerminal: boolean, width: number): string =>
  fittedTable(columns, rows, { isTerminal, columns: width, colour: false }).split("\n")[0];

describe("fittedTable", () => {
  it.each([
    [true, 27, "name    first  size  second"],
    [true, 26, "name    first  size"],
    [true, 19, "name    first  size"],
    [true, 18, "name    size"],
    [true, 5, "name    size"],
    [false, 5, "name    first  size  second"],
  ])("on a terminal: %s, of %d columns: %s", (isTerminal, width, expected) => {
    expect(titles(isTerminal, width)).toBe(expected);
  });
});
