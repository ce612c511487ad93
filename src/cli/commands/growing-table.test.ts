import { describe, expect, it } from "vitest";
import { screen } from "../ui/screen.fixture.ts";
import { growingTable } from "./growing-table.ts";

const columns = [{ title: "base" }, { title: "loss", align: "right" }, { title: "step", align: "right", optional: true }] as const;

const watched = (isTerminal: boolean, width = 40) => {
  const terminal = screen(width);
  const context = { isTerminal, columns: width, colour: false, write: terminal.write, out: (line: string) => terminal.write(`${line}\n`) };
  return { context, terminal, table: growingTable(columns, context) };
};

describe("a table that grows", () => {
  it("is redrawn on a terminal, with what it waits for below", () => {
    const { terminal, table } = watched(true);
    table.wait("measuring fp32 …");
    expect(terminal.lines()).toEqual(["measuring fp32 …"]);
    table.add(["fp32", "2.413", "10 ms"]);
    table.wait("measuring int8 …");
    expect(terminal.lines()).toEqual(["base   loss   step", "────  ─────  ─────", "fp32  2.413  10 ms", "measuring int8 …"]);
    table.add(["int8", "2.42", "9 ms"]);
    table.close();
    expect(terminal.lines()).toEqual(["base   loss   step", "────  ─────  ─────", "fp32  2.413  10 ms", "int8   2.42   9 ms"]);
  });

  it("leaves out what a narrow terminal has no room for", () => {
    const { terminal, table } = watched(true, 12);
    table.add(["fp32", "2.413", "10 ms"]);
    expect(terminal.lines()).toEqual(["base   loss", "────  ─────", "fp32  2.413"]);
  });

  it("says a line for each row elsewhere", () => {
    const { terminal, table } = watched(false);
    table.wait("measuring fp32 …");
    table.add(["fp32", "2.413", "10 ms"]);
    table.close();
    expect(terminal.lines()).toEqual(["fp32  loss 2.413  step 10 ms"]);
  });
});
