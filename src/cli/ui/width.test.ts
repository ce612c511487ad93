import { describe, expect, it } from "vitest";
import { padEnd, padStart, truncate, visibleWidth, wrap } from "./width.ts";

const red = (text: string): string => `\x1b[31m${text}\x1b[39m`;

describe("visibleWidth", () => {
  it.each([
    ["abc", 3],
    [red("abc"), 3],
    ["é", 1],
    ["e\u0301", 1],
    ["日本", 4],
    ["한글", 4],
    ["🙂", 2],
    ["👩‍👩‍👧", 2],
    ["▁▂█", 3],
    ["", 0],
  ])("of %j is %i", (text, width) => {
    expect(visibleWidth(text)).toBe(width);
  });
});

describe("truncate", () => {
  it.each([
    ["abcdef", 6, "abcdef"],
    ["abcdef", 5, "abcd…"],
    ["abcdef", 1, "…"],
    ["abcdef", 0, ""],
    ["日本語", 4, "日…"],
    ["日本語", 5, "日本…"],
    [red("abcdef"), 3, red("ab…")],
    [`${red("ab")}cd`, 3, `${red("ab")}…`],
    [`${red("ab")}${red("cd")}`, 3, `${red("ab")}${red("…")}`],
    [`${red("abcd")}${red("ef")}`, 3, `${red("ab…")}${red("")}`],
  ])("cuts %j at %i", (text, columns, expected) => {
    expect(truncate(text, columns)).toBe(expected);
  });
});

describe("padding", () => {
  it("counts what is seen", () => {
    expect(padEnd(red("ab"), 4)).toBe(`${red("ab")}  `);
    expect(padStart("日", 4)).toBe("  日");
    expect(padStart("long", 2)).toBe("long");
  });
});

describe("wrap", () => {
  it.each([
    ["one two three", 7, ["one two", "three"]],
    ["one two three", 80, ["one two three"]],
    ["a/very/long/path x", 6, ["a/very/long/path", "x"]],
    ["first\nsecond line", 8, ["first", "second", "line"]],
    ["", 8, [""]],
  ])("%j at %i", (text, columns, lines) => {
    expect(wrap(text, columns)).toEqual(lines);
  });
});
