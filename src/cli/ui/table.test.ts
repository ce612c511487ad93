import { expect, it } from "vitest";
import { formatTable } from "./table.ts";

const columns = [{ title: "module" }, { title: "rank", align: "right" }, { title: "‖ΔW‖", align: "right" }] as const;

it("aligns names left and numbers right", () => {
  expect(
    formatTable(columns, [
      ["q_proj", "8", "1.204"],
      ["down_proj", "16", "12.5"],
      ["日本", "1", ""],
    ]),
  ).toBe(
    ["module     rank   ‖ΔW‖", "─────────  ────  ─────", "q_proj        8  1.204", "down_proj    16   12.5", "日本          1"].join("\n"),
  );
});

it("does not count colours, and stands without rows", () => {
  expect(formatTable([{ title: "a" }, { title: "b" }], [["\x1b[31mred\x1b[39m", "x"]])).toBe("a    b\n───  ─\n\x1b[31mred\x1b[39m  x");
  expect(formatTable(columns, [], { colour: true })).toBe("module  rank  ‖ΔW‖\n\x1b[2m──────  ────  ────\x1b[22m");
});
