import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../../test/shared.ts";
import { byteLevelFiles } from "../../../test/tiny-tokenizer.ts";
import { loadTokenizer } from "../../formats/index.ts";
import { createTokenizer } from "../../formats/tokenizer.ts";
import { planBatches } from "../batches.ts";
import { loadExamples, type Dataset, type DatasetOptions } from "../dataset.ts";
import type { Example } from "../example.ts";
import { pairFormats, pairKind, type Pair } from "./pairs.ts";

const tokenizer = createTokenizer(byteLevelFiles());
const template = "{% for m in messages %}[{{ m.role[0] }}:{{ m.content }}]{% endfor %}{{ '[a:' if add_generation_prompt }}";

const load = async (rows: readonly unknown[], options: Partial<DatasetOptions> = {}): Promise<Dataset<Pair>> => {
  const path = join(await mkdtemp(join(tmpdir(), "data-")), "d.jsonl");
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return loadExamples(pairKind, { path, tokenizer, maxLength: 40, template, ...options });
};

/** The text of an example, with what is learnt after a bar. */
const marked = ({ ids, supervised }: Example): string =>
  Array.from(ids, (id, index) => (supervised[index] === 1 && supervised[index - 1] === 0 ? "|" : "") + tokenizer.tokenText(id)).join("");
const texts = ({ examples }: Dataset<Pair>): string[][] => examples.map(({ chosen, rejected }) => [marked(chosen), marked(rejected)]);

const user = { role: "user", content: "Hi" };
const says = (content: string) => ({ role: "assistant", content });

describe("pairs", () => {
  it.each([
    {
      form: "texts",
      row: { prompt: "ab:", chosen: " cd", rejected: " e" },
      name: "preference",
      texts: ["ab:| cd<|end|>", "ab:| e<|end|>"],
    },
    {
      form: "messages after a prompt of messages",
      row: { prompt: [user], chosen: [says("Yo")], rejected: [says("No")] },
      name: "preference",
      texts: ["[u:Hi][a:|Yo]", "[u:Hi][a:|No]"],
    },
    {
      form: "conversations that begin alike",
      row: { chosen: [user, says("Yo"), user, says("A")], rejected: [user, says("Yo"), user, says("B")] },
      name: "implicit-preference",
      texts: ["[u:Hi][a:Yo][u:Hi][a:|A]", "[u:Hi][a:Yo][u:Hi][a:|B]"],
    },
    {
      form: "conversations beside a prompt that is a text",
      row: { prompt: "Hi", chosen: [user, says("Yo")], rejected: [user, says("No")] },
      name: "implicit-preference",
      texts: ["[u:Hi][a:|Yo]", "[u:Hi][a:|No]"],
    },
    {
      form: "texts that begin alike, up to the word in which they part",
      row: { chosen: "Q: a? A: yes", rejected: "Q: a? A: yellow" },
      name: "implicit-preference",
      texts: ["Q: a? A:| yes<|end|>", "Q: a? A:| yellow<|end|>"],
    },
  ])("come from $form", async ({ row, name, texts: expected }) => {
    const dataset = await load([row]);
    expect(dataset.report).toMatchObject({ format: name, noun: "pair", loss: "completion", examples: 1 });
    expect(texts(dataset)).toEqual([expected]);
  });

  it("of Alpaca's form have its prompt, with or without an input", async () => {
    const row = { instruction: "Add.", input: "1 2", output: "3", chosen: "3", rejected: "4" };
    const [[chosen, rejected], [bare]] = texts(await load([row, { ...row, input: "" }], { maxLength: 512 }));
    expect(chosen).toMatch(/### Instruction:\nAdd\.\n\n### Input:\n1 2\n\n### Response:\n\|3<\|end\|>$/);
    expect(rejected).toMatch(/### Response:\n\|4<\|end\|>$/);
    expect(bare).toMatch(/### Instruction:\nAdd\.\n\n### Response:\n\|3<\|end\|>$/);
  });

  it("are dropped whole, with the reason, and counted once where both are cut", async () => {
    const long = "c".repeat(50);
    const { examples, report } = await load([
      { prompt: "ab:", chosen: " cd", rejected: " e" },
      { prompt: "ab:", chosen: " ", rejected: " e" },
      { prompt: "ab:", chosen: " e", rejected: "" },
      { prompt: "ab:", chosen: " e", rejected: " e" },
      { prompt: "ab:", chosen: ` ${long}`, rejected: ` d${long}` },
      { prompt: "ab:", chosen: ` ${long}x`, rejected: ` ${long}y` },
    ]);
    expect(examples.map(({ chosen }) => chosen.where.slice(-2))).toEqual([":1", ":5"]);
    expect(report).toMatchObject({
      rows: 6,
      examples: 2,
      truncated: 1,
      cutTokens: 15 + 16,
      dropped: {
        "chosen: empty text or completion": 1,
        "rejected: empty text or completion": 1,
        "chosen and rejected are the same": 2,
      },
      tokens: 7 + 6 + 40 + 40,
      supervisedTokens: 4 + 3 + 37 + 37,
      longest: 40,
      endToken: { text: "<|end|>", examples: 1 },
    });
  });

  it.each([
    {
      rows: [{ prompt: "a", completion: "b" }],
      message: /No data format has the columns prompt, completion\. Known formats: preference \(prompt and chosen/,
    },
    { rows: [{ prompt: "a", chosen: " b", rejected: 3 }], message: /:1: "rejected" must be a text, but it is of type number \(3\)/ },
    { rows: [{ prompt: [user], chosen: [says("a")], rejected: "b" }], message: /"rejected" must be a list of messages/ },
    {
      rows: [{ prompt: "a", chosen: " b", rejected: " c" }],
      loss: "all" as const,
      message: /preference is about completions, so the loss cannot be taken over all tokens/,
    },
    {
      rows: [{ prompt: "a", chosen: " b", rejected: " c" }],
      format: "chat",
      message: /"chat" is none of those that this loss learns from\. Choose from preference, alpaca-preference/,
    },
  ])("are no $rows with $loss $format", async ({ rows, message, ...options }) => {
    await expect(load(rows, options)).rejects.toThrow(message);
  });

  it("fill the halves of a batch, with empty rows where pairs are missing", async () => {
    const { examples } = await load([
      { prompt: "ab:", chosen: " cd", rejected: " e" },
      { prompt: "a:", chosen: " b", rejected: " cdef" },
    ]);
    const [plan] = planBatches(pairKind, { examples, batchSize: 3, maxLength: 40, order: "sequential", seed: 0, epoch: 0 });
    const batch = pairKind.collate(plan);
    const row = (index: number): string =>
      Array.from(batch.ids.subarray(index * batch.length, (index + 1) * batch.length))
        .filter((_, place) => batch.segments[index * batch.length + place] === 1)
        .map((id) => tokenizer.tokenText(id))
        .join("");
    expect([batch.rows, batch.length]).toEqual([6, 16]);
    expect([0, 1, 2, 3, 4, 5].map(row)).toEqual(["ab: cd<|end|>", "a: b<|end|>", "", "ab: e<|end|>", "a: cdef<|end|>", ""]);
    expect(batch.present).toEqual(Float32Array.of(1, 1, 0));
    expect(batch.sources.map((where) => where.slice(-2))).toEqual([":1", ":2"]);
    expect(batch.tokens).toBe(7 + 5 + 6 + 8);
  });

  it("are not packed", () => {
    expect(() => planBatches(pairKind, { examples: [], batchSize: 1, maxLength: 8, pack: true, seed: 0, epoch: 0 })).toThrow(
      "Examples of this kind cannot be packed into rows. Leave packing off.",
    );
  });
});

it.skipIf(!hasShared)("the shared pairs are read in Alpaca's form, but for six whose answers are the same", async () => {
  const { report } = await loadExamples(pairKind, {
    path: sharedPath("data/instruction/instruction-data-with-preference.json"),
    tokenizer: await loadTokenizer(sharedPath("models/stories260k")),
    maxLength: 512,
  });
  expect(Object.keys(pairFormats)).toContain(report.format);
  expect(report).toMatchObject({
    format: "alpaca-preference",
    rows: 1100,
    examples: 1094,
    truncated: 0,
    dropped: { "chosen and rejected are the same": 6 },
    endToken: { examples: 1094, stops: true },
  });
});
