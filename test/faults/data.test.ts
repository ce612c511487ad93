/** @file Data that cannot be trained on: each kind is refused with file, line and remedy, and the run that was there stays. */
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { rows, workshop, writeRows } from "./material.ts";
import { refused, succeed, type Flags } from "./program.ts";
import { adapter, prepare } from "./recipe.ts";
import { snapshot } from "./snapshot.ts";

const folder = workshop();
const recipe = { ...(await prepare(folder)), maxSteps: 2 };
const output = join(folder, "run");
beforeAll(async () => {
  await succeed("train", { ...recipe, ...adapter, output });
});

const [good, other] = rows(2);
const chat = (...roles: readonly string[]) => ({ messages: roles.map((role) => ({ role, content: "Hello." })) });

interface Case {
  readonly file: string;
  readonly lines: readonly (object | string)[];
  readonly encoding?: BufferEncoding;
  readonly flags?: Flags;
  readonly code?: string;
  readonly where?: string;
  readonly says: RegExp;
}

const cases: Record<string, Case> = {
  "an empty file": { file: "empty.jsonl", lines: [], says: /^The file is empty\. Put rows into it, or leave it out\.$/ },
  "a file of blank lines": { file: "blank.jsonl", lines: ["", "  "], says: /^The file is empty\./ },
  "an empty text": { file: "empty.txt", lines: [""], says: /^The file is empty\./ },
  "a table without rows": { file: "empty.csv", lines: ["prompt,completion"], says: /^The file is empty\./ },
  "broken JSON on line 3": {
    file: "broken.jsonl",
    lines: [good, other, '{"prompt": "Mia wants one', good],
    where: "broken.jsonl:3",
    says: /^This line is not valid JSON: .+\. It begins: \{"prompt": "Mia wants one Correct or remove this line; each line must be one whole JSON object\.$/,
  },
  "broken JSON in a list": { file: "broken.json", lines: ["[", "{}", "{,"], where: "broken.json:3", says: /^The file is not valid JSON/ },
  "a list on line 2": {
    file: "list.jsonl",
    lines: [good, "[1, 2]"],
    where: "list.jsonl:2",
    says: /^A row must be an object or a text, but this one is \[1,2\]\. Write it/,
  },
  "a table with a value too many": {
    file: "wide.csv",
    lines: ["prompt,completion", "a,b", "a,b,c"],
    where: "wide.csv:3",
    says: /^The table is broken: .+ Put values with commas/,
  },
  "a row without a field": {
    file: "lacking.jsonl",
    lines: [good, { prompt: "Mia wants one apple." }],
    where: "lacking.jsonl:2",
    says: /^"completion" must be a text, but it is missing\. Correct or remove this row/,
  },
  "a field of another type": {
    file: "typed.jsonl",
    lines: [good, good, { prompt: "How many?", completion: 7 }],
    where: "typed.jsonl:3",
    says: /^"completion" must be a text, but it is of type number \(7\)\./,
  },
  "columns of no known form": { file: "odd.jsonl", lines: [{ question: "a", reply: "b" }], where: "odd.jsonl:1", says: /question.*reply/ },
  "empty completions": {
    file: "mute.jsonl",
    lines: [
      { prompt: "a", completion: "" },
      { prompt: "b", completion: " " },
    ],
    says: /^None of the 2 rows \(format completion, loss over completions\) has a supervised token: 2 × empty text or completion\. Check the columns/,
  },
  "a chat in which the assistant says nothing": {
    file: "unanswered.jsonl",
    lines: [chat("user"), chat("system", "user")],
    says: /^None of the 2 rows \(format chat, loss over completions\) has a supervised token: 2 × nothing supervised\. Check the columns and the roles/,
  },
  "a truncation that leaves nothing supervised": {
    file: "long.jsonl",
    lines: rows(3),
    flags: { seqLength: 6 },
    says: /^None of the 3 rows .+: 3 × nothing supervised in the first 6 tokens\. Check the columns and the roles, raise the length,/,
  },
  "a loss over completions that do not exist": {
    file: "plain.jsonl",
    lines: [{ text: "Mia wants one apple." }],
    flags: { supervise: "completion" },
    says: /^The format text has no completion, so nothing would be supervised\. Take the loss over all tokens,/,
  },
  "a stream shorter than one block": {
    file: "short.txt",
    lines: ["Mia wants one apple."],
    flags: { stream: true },
    says: /^The text has \d+ tokens, fewer than one block of 32\. Give more text or a shorter length\.$/,
  },
  "bytes that are no UTF-8": {
    file: "latin1.jsonl",
    lines: [good, '{"prompt": "Zoë wants", "completion": " one"}'],
    encoding: "latin1",
    says: /^The file is not UTF-8 text somewhere after line 1\. Convert it/,
  },
  "a file of another kind": {
    file: "data.xlsx",
    lines: [good],
    code: "unsupported",
    says: /^Data files end with .+ Rename or convert it\.$/,
  },
};

describe.each(Object.entries(cases))("%s", (_, { file, lines, encoding, flags = {}, code = "invalid-data", where, says }) => {
  const path = join(folder, "bad", file);
  beforeAll(() => {
    writeRows(path, lines, encoding);
  });

  it.each<[string, string, Flags]>([
    ["training data", "train", { data: path }],
    ["held-out data", "train", { evalData: path }],
    ["data to pretrain on", "pretrain", { data: path }],
  ])("as %s is refused, and the run that was there stays", async (as, command, given) => {
    // The truncation would spoil the data beside it as well, and the form of the one is asked of the other.
    const alone = as === "held-out data" && Object.keys(flags).length > 0 ? { data: path } : {};
    const before = snapshot(output);
    const own = command === "train" ? adapter : {};
    const error = await refused(command, { ...recipe, ...own, ...flags, ...given, ...alone, output, resume: true });
    expect(error).toMatchObject({ code, where: join(folder, "bad", where ?? file) });
    expect(error.message.slice(error.where!.length + 2)).toMatch(says);
    expect(snapshot(output)).toEqual(before);
  });
});
