import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { wordPieceFiles } from "../../test/tiny-tokenizer.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import { classNames } from "./class-names.ts";
import { loadExamples, type Dataset, type DatasetOptions } from "./dataset.ts";
import { labelledKind, type LabelledExample } from "./kinds/labelled.ts";

const tokenizer = createTokenizer(wordPieceFiles());

const fileWith = async (content: string | readonly object[], name = "d.jsonl"): Promise<string> => {
  const path = join(await mkdtemp(join(tmpdir(), "labelled-")), name);
  await writeFile(path, typeof content === "string" ? content : content.map((row) => JSON.stringify(row)).join("\n"));
  return path;
};

const load = (
  path: string,
  classes: readonly string[] | undefined,
  options: Partial<DatasetOptions> = {},
): Promise<Dataset<LabelledExample>> =>
  loadExamples(labelledKind({ classes, pool: () => 0 }), { path, tokenizer, maxLength: 8, ...options });

describe("classes", () => {
  it.each<[string, object[], string[]]>([
    [
      "words in order of their characters",
      [
        { text: "win", label: "spam" },
        { text: "fox", label: "ham" },
        { text: "a", label: "ham" },
      ],
      ["ham", "spam"],
    ],
    ["numbers in order of size", [10, 2, 1, 2].map((label) => ({ text: "win", label })), ["1", "2", "10"]],
    ["truths", [true, false].map((label) => ({ text: "win", label })), ["false", "true"]],
    ["of the usual columns, in any case", ["b", "a"].map((Label) => ({ Sentence: "win", Label })), ["a", "b"]],
    ["of pairs", ["b", "a"].map((label) => ({ premise: "win", hypothesis: "fox", label })), ["a", "b"]],
  ])("are %s", async (_, rows, names) => {
    expect(await classNames(await fileWith(rows))).toEqual(names);
  });

  it("come from the column that is named", async () => {
    const path = await fileWith('Kind\tBody\nspam\tsaid "win\nham\tfox\n', "sms.tsv");
    expect(await classNames(path, { text: "Body", label: "Kind" })).toEqual(["ham", "spam"]);
    await expect(classNames(path)).rejects.toThrow("No data format has the columns Kind, Body.");
  });

  it.each<[string, object[], string]>([
    ["fewer than two", [{ text: "win", label: "spam" }], "All rows have one label: spam."],
    ["too many", Array.from({ length: 1001 }, (_, label) => ({ text: "win", label })), "There are more than 1000 different labels."],
    ["missing", [{ text: "win", label: null }], '"label" must be a text, a number or true or false, but it is null.'],
  ])("are refused where they are %s", async (_, rows, message) => {
    await expect(classNames(await fileWith(rows))).rejects.toThrow(message);
  });
});

describe("labelled texts", () => {
  it("are numbered by class, cut, and reported", async () => {
    const path = await fileWith([
      { text: "the fox runs now win win", label: "spam" },
      { text: " ", label: "ham" },
      { text: "win", label: "ham" },
    ]);
    const { examples, report } = await load(path, ["ham", "spam"]);
    expect(examples.map(({ label, ids, where }) => [label, [...ids], where.slice(-2)])).toEqual([
      [1, [2, 4, 5, 6, 7, 10, 9, 3], ":1"],
      [0, [2, 9, 3], ":3"],
    ]);
    expect(report).toMatchObject({
      format: "labelled",
      loss: "label",
      noun: "text",
      truncated: 1,
      cutTokens: 1,
      dropped: { "empty text": 1 },
      tokens: 11,
      supervisedTokens: 2,
      endToken: undefined,
      warnings: [],
    });
  });

  it.each([
    ["by name", ["ham", "spam"], "spam", 1],
    ["by number, where names are words", ["ham", "spam"], 1, 1],
    ["by name, where names are numbers", ["1", "2"], 1, 0],
    ["as values", undefined, "-2.5", -2.5],
  ])("have labels %s", async (_, classes, label, expected) => {
    expect((await load(await fileWith([{ text: "win", label }]), classes)).examples[0].label).toBe(expected);
  });

  it.each([
    [["ham", "spam"], "eggs", 'The label "eggs" is none of the classes ham, spam.'],
    [["ham", "spam"], 2, 'The label "2" is none of the classes ham, spam.'],
    [undefined, "much", 'The label "much" is no number.'],
  ])("of %j are refused with the label %j, by row", async (classes, label, message) => {
    const path = await fileWith([
      { text: "win", label: classes?.[0] ?? 1 },
      { text: "win", label },
    ]);
    await expect(load(path, classes)).rejects.toThrow(`${path}:2: ${message}`);
  });

  it("may be pairs, whose second text is of another kind", async () => {
    const path = await fileWith([{ sentence1: "the fox", sentence2: "runs", score: 4 }]);
    const { examples, report } = await load(path, undefined);
    expect([[...examples[0].ids], [...examples[0].types], report.format]).toEqual([
      [2, 4, 5, 3, 6, 7, 3],
      [0, 0, 0, 0, 1, 1, 1],
      "labelled-pair",
    ]);
  });
});
