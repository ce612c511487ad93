import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { byteLevelFiles } from "../../../test/tiny-tokenizer.ts";
import { createTokenizer } from "../../formats/tokenizer.ts";
import { rowLength } from "../bucket.ts";
import { loadExamples, type Dataset, type DatasetOptions } from "../dataset.ts";
import { sourceTargetKind, type SourceTarget } from "./source-target.ts";

const tokenizer = createTokenizer(byteLevelFiles());

const load = async (rows: readonly unknown[], options: Partial<DatasetOptions> = {}): Promise<Dataset<SourceTarget>> => {
  const path = join(await mkdtemp(join(tmpdir(), "data-")), "d.jsonl");
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return loadExamples(sourceTargetKind, { path, tokenizer, maxLength: 40, ...options });
};

const textOf = (ids: Int32Array): string => Array.from(ids, (id) => tokenizer.tokenText(id)).join("");
const texts = ({ examples }: Dataset<SourceTarget>): string[][] =>
  examples.map(({ source, target }) => [textOf(source.ids), textOf(target.ids)]);

const template = "{% for m in messages %}[{{ m.role[0] }}:{{ m.content }}]{% endfor %}{{ '[a:' if add_generation_prompt }}";

describe("sources and targets", () => {
  it.each([
    { form: "prompt and completion", row: { prompt: "ab:", completion: "cd" }, pairs: [["ab:<|end|>", "cd<|end|>"]] },
    {
      form: "the turns of a chat that the assistant is to learn",
      row: {
        messages: [
          { role: "assistant", content: "He" },
          { role: "user", content: "Hi" },
          { role: "assistant", content: "Yo" },
          { role: "user", content: "So" },
          { role: "assistant", content: "Be" },
        ],
      },
      pairs: [
        ["[a:He][u:Hi][a:<|end|>", "Yo<|end|>"],
        ["[a:He][u:Hi][a:Yo][u:So][a:<|end|>", "Be<|end|>"],
      ],
    },
    {
      form: "messages as prompt and completion",
      row: { prompt: [{ role: "user", content: "Hi" }], completion: [{ role: "assistant", content: "Yo" }] },
      pairs: [["[u:Hi][a:<|end|>", "Yo<|end|>"]],
    },
  ])("come from $form", async ({ row, pairs }) => {
    expect(texts(await load([row], { template }))).toEqual(pairs);
  });

  it("of alpaca are its prompt and its output", async () => {
    const [[source, target]] = texts(await load([{ instruction: "Say it.", input: "", output: "It." }], { maxLength: 512 }));
    expect(source).toMatch(/### Instruction:\nSay it\.\n\n### Response:\n<\|end\|>$/);
    expect(target).toBe("It.<|end|>");
  });

  it("are each cut to the longest length, and reported on", async () => {
    const { examples, report } = await load([
      { prompt: "a".repeat(50), completion: "bc" },
      { prompt: "ab", completion: "c".repeat(50) },
      { prompt: " ", completion: "c" },
      { prompt: "a", completion: "" },
    ]);
    expect(examples.map(({ source, target }) => [source.ids.length, target.ids.length])).toEqual([
      [40, 3],
      [3, 40],
    ]);
    expect(report).toMatchObject({
      examples: 2,
      rows: 4,
      tokens: 86,
      supervisedTokens: 43,
      longest: 40,
      truncated: 2,
      dropped: { "prompt: empty text or completion": 1, "completion: empty text or completion": 1 },
      endToken: { text: "<|end|>", examples: 1 },
    });
  });

  it.each([
    { rows: [{ text: "abc" }], message: /No data format has the columns text/ },
    { rows: [{ prompt: "a", completion: "b" }], loss: "all" as const, message: /the loss cannot be taken over all tokens/ },
  ])("are no $rows with loss $loss", async ({ rows, message, ...options }) => {
    await expect(load(rows, options)).rejects.toThrow(message);
  });

  it("become rows of two lengths, empty ones where examples are missing", async () => {
    const { examples } = await load([
      { prompt: "a".repeat(30), completion: "bc" },
      { prompt: "ab", completion: "c" },
    ]);
    const batch = sourceTargetKind.collate({ examples, rows: [[1], [0]], batchSize: 3, length: 40 });
    expect([batch.rows, batch.length, batch.source.length]).toEqual([3, 16, 32]);
    expect(batch.ids.subarray(0, 4)).toEqual(Int32Array.of(...examples[1].target.ids, 0, 0));
    expect(Array.from({ length: 3 }, (_, row) => batch.labels.subarray(row * 16, row * 16 + 4).join(" "))).toEqual([
      `${examples[1].target.ids.join(" ")} -100 -100`,
      `${examples[0].target.ids.join(" ")} -100`,
      "-100 -100 -100 -100",
    ]);
    expect(batch.source.segments.reduce((sum, segment) => sum + segment, 0)).toBe(3 + 31);
    expect({ tokens: batch.tokens, supervised: batch.supervised, sources: batch.sources.length }).toEqual({
      tokens: 2 + 3 + 3 + 31,
      supervised: 5,
      sources: 2,
    });
  });
});

it.each([
  [1, 16],
  [16, 16],
  [17, 24],
  [24, 24],
  [25, 32],
  [33, 48],
  [49, 64],
  [200, 256],
  [129, 192],
])("%i tokens take a row of %i", (longest, length) => {
  expect(rowLength(longest)).toBe(length);
});
