import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { byteLevelFiles } from "../../../test/tiny-tokenizer.ts";
import { createTokenizer } from "../../formats/tokenizer.ts";
import { planBatches } from "../batches.ts";
import { loadExamples, type Dataset } from "../dataset.ts";
import type { Example } from "../example.ts";
import { judgedKind, type Judged } from "./judged.ts";

const tokenizer = createTokenizer(byteLevelFiles());

const load = async (rows: readonly unknown[], maxLength = 40): Promise<Dataset<Judged>> => {
  const path = join(await mkdtemp(join(tmpdir(), "data-")), "d.jsonl");
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return loadExamples(judgedKind, { path, tokenizer, maxLength });
};

const textOf = ({ ids }: Example): string => Array.from(ids, (id) => tokenizer.tokenText(id)).join("");
const seen = ({ examples }: Dataset<Judged>) =>
  examples.map(({ answer, desirable, mismatched }) => [textOf(answer), desirable, textOf(mismatched)]);

describe("judged answers", () => {
  it("stand beside their prompt with the answer to another", async () => {
    const dataset = await load([
      { prompt: "ab:", completion: " c", label: true },
      { prompt: "d:", completion: " ef", label: "False" },
      { prompt: "g:", completion: " h", label: false },
    ]);
    expect(seen(dataset)).toEqual([
      ["ab: c<|end|>", true, "ab: ef<|end|>"],
      ["d: ef<|end|>", false, "d: h<|end|>"],
      ["g: h<|end|>", false, "g: c<|end|>"],
    ]);
    expect(dataset.examples[0].mismatched.supervised).toEqual(Uint8Array.of(0, 0, 0, 1, 1, 1, 1));
    expect(dataset.report).toMatchObject({ format: "judged", noun: "judged answer", rows: 3, examples: 3, tokens: 6 + 6 + 5, longest: 7 });
  });

  it("come two from a pair, and every answer is used once for another prompt", async () => {
    const pair = (name: string) => ({ prompt: `${name}:`, chosen: ` ${name}1`, rejected: ` ${name}2` });
    const dataset = await load([pair("a"), pair("b"), pair("c")]);
    expect(seen(dataset)).toEqual([
      ["a: a1<|end|>", true, "a: b1<|end|>"],
      ["a: a2<|end|>", false, "a: b2<|end|>"],
      ["b: b1<|end|>", true, "b: c1<|end|>"],
      ["b: b2<|end|>", false, "b: c2<|end|>"],
      ["c: c1<|end|>", true, "c: a1<|end|>"],
      ["c: c2<|end|>", false, "c: a2<|end|>"],
    ]);
    expect(dataset.report).toMatchObject({ format: "preference", rows: 3, examples: 6 });
  });

  it("get an answer to their own prompt only where there is no other", async () => {
    const dataset = await load([
      { prompt: "a:", completion: " b", label: true },
      { prompt: "a:", completion: " c", label: false },
    ]);
    expect(seen(dataset).map(([, , mismatched]) => mismatched)).toEqual(["a: c<|end|>", "a: b<|end|>"]);
  });

  it("are no longer than allowed, beside another's answer as well", async () => {
    const { examples } = await load(
      [
        { prompt: `${"a".repeat(30)}:`, completion: " b", label: true },
        { prompt: "c:", completion: ` ${"d".repeat(30)}`, label: false },
      ],
      36,
    );
    expect(examples.map(judgedKind.lengthOf)).toEqual([36, 34]);
    expect(examples[0].mismatched.supervised.reduce((sum, flag) => sum + flag, 0)).toBe(5);
  });

  it.each([
    { row: { prompt: "a", completion: " b", label: "good" }, message: /No data format has the columns prompt, completion, label/ },
    { row: { prompt: "a", completion: 3, label: true }, message: /"completion" must be a text/ },
  ])("are not $row", async ({ row, message }) => {
    await expect(load([row])).rejects.toThrow(message);
  });

  it("need a label in every row", async () => {
    const good = { prompt: "a", completion: " b", label: true };
    await expect(load([good, { ...good, label: null }])).rejects.toThrow(/d\.jsonl:2: "label" must be true or false, but it is null/);
  });

  it("fill the rows of a batch, which tells good from bad and from empty", async () => {
    const { examples } = await load([
      { prompt: "ab:", completion: " c", label: true },
      { prompt: "d:", completion: " ef", label: false },
    ]);
    const [plan] = planBatches(judgedKind, { examples, batchSize: 3, maxLength: 40, order: "sequential", seed: 0, epoch: 0 });
    const batch = judgedKind.collate(plan);
    expect([batch.desirable, batch.present]).toEqual([Float32Array.of(1, 0, 0), Float32Array.of(1, 1, 0)]);
    expect([batch.rows, batch.mismatched.rows, batch.length, batch.mismatched.length]).toEqual([3, 3, 16, 16]);
    expect([batch.supervised, batch.mismatched.supervised]).toEqual([3 + 4, 4 + 3]);
    expect(batch.tokens).toBe(6 + 6);
  });
});
