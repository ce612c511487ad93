import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { byteLevelFiles } from "../../test/tiny-tokenizer.ts";
import { loadTokenizer, type Tokenizer } from "../formats/index.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import { loadDataset, type Dataset, type DatasetOptions } from "./dataset.ts";
import { previewExample } from "./preview.ts";

const tokenizer = createTokenizer(byteLevelFiles());

const fileWith = async (rows: readonly unknown[]): Promise<string> => {
  const path = join(await mkdtemp(join(tmpdir(), "data-")), "d.jsonl");
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return path;
};

const load = async (rows: readonly unknown[], options: Partial<DatasetOptions> = {}): Promise<Dataset> =>
  loadDataset({ path: await fileWith(rows), tokenizer, maxLength: 40, ...options });

/** The supervised text of each example. */
const learnt = ({ examples }: Dataset): string[] =>
  examples.map((example) =>
    previewExample(example, tokenizer)
      .filter(({ supervised }) => supervised)
      .map(({ text }) => text)
      .join(""),
  );

const chat = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Yo" },
];

describe("loadDataset", () => {
  it("learns completions with their end token, and reports what became of every row", async () => {
    const rows = [
      { prompt: "ab:", completion: " cd" },
      { prompt: "ab:", completion: " " },
      { prompt: "x".repeat(40), completion: " cd" },
      { prompt: "ab:", completion: ` ${"c".repeat(50)}` },
    ];
    const dataset = await load(rows);
    expect(learnt(dataset)).toEqual([" cd<|end|>", ` ${"c".repeat(36)}`]);
    expect(dataset.examples.map(({ where }) => where.slice(-2))).toEqual([":1", ":4"]);
    expect(dataset.report).toMatchObject({
      format: "completion",
      loss: "completion",
      template: undefined,
      rows: 4,
      examples: 2,
      truncated: 1,
      cutTokens: 15,
      dropped: { "empty text or completion": 1, "nothing supervised in the first 40 tokens": 1 },
      tokens: 7 + 40,
      supervisedTokens: 4 + 37,
      supervisedShare: 41 / 47,
      longest: 40,
      endToken: { id: 262, text: "<|end|>", examples: 1, stops: true },
      warnings: ["Truncation removes 24 % of all tokens. Raise the length, split the texts, or train on them as one stream."],
    });
  });

  it("learns whole texts, and the text of a prompt too if asked", async () => {
    expect(learnt(await load([{ text: "the" }, "abc"]))).toEqual(["<|end|>", "bc<|end|>"]);
    expect(learnt(await load([{ prompt: "ab", completion: " cd" }], { loss: "all" }))).toEqual(["b cd<|end|>"]);
    expect((await load(["abc"])).report).toMatchObject({ format: "text", loss: "all", supervisedTokens: 3 });
  });

  it("takes columns for fields, and a format by name", async () => {
    const rows = [{ q: "a", a: " b", text: "c" }];
    expect(learnt(await load(rows, { fields: { prompt: "q", completion: "a" } }))).toEqual([" b<|end|>"]);
    const both = [{ prompt: "a", completion: " b", text: "cd" }];
    expect(learnt(await load(both, { format: "text" }))).toEqual(["d<|end|>"]);
  });

  it("uses a given template, the model's, or plain headings, and says which", async () => {
    const template = "{% for m in messages %}[{{ m.content }}]{% endfor %}{{ '[' if add_generation_prompt }}";
    const rows = [{ messages: chat }];
    const given = await load(rows, { template });
    expect(learnt(given)).toEqual(["Yo]"]);
    expect(given.report.template).toBe("given");
    const model = createTokenizer(byteLevelFiles({ chatTemplate: template }));
    expect((await load(rows, { tokenizer: model })).report.template).toBe("model");
    const plain = await load(rows, { maxLength: 100 });
    expect(learnt(plain)).toEqual(["Yo<|end|>"]);
    expect(plain.report).toMatchObject({ template: "plain", warnings: [] });
    expect(learnt(await load(rows, { template, loss: "all" }))).toEqual(["Hi][Yo]"]);
  });

  it("gives templates that print the day a fixed one, so that a resumed run sees the same tokens", async () => {
    const template = "{{ strftime_now('%d %b %Y') }}:{{ messages[1].content }}";
    expect(learnt(await load([{ messages: chat }], { template, loss: "all" }))).toEqual(["6 Jul 2024:Yo"]);
  });

  it.each<[string, unknown[], Partial<DatasetOptions>, string]>([
    [
      "no end token",
      [{ messages: chat }],
      { template: "{% for m in messages %}{{ m.content }};{% endfor %}" },
      "No example ends with a supervised end token",
    ],
    [
      "an end token that generation does not stop at",
      [{ messages: chat }],
      { template: "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}" },
      'Examples end with <|im_end|> (264), but generation stops at <|end|> (262). Add the id to "eos_token_id" in generation_config.json.',
    ],
    ["few end tokens", [{ text: "a".repeat(50) }, { text: "a".repeat(50) }, { text: "a" }], {}, "2 of 3 examples do not reach <|end|>"],
    [
      "a dropped role",
      [{ messages: [...chat, { role: "tool", content: "42" }] }],
      { template: "Hi{% generation %}Yo<|end|>{% endgeneration %}" },
      'In 1 rows the chat template leaves out messages of role "tool".',
    ],
    [
      "a straddling token",
      [{ prompt: "a: ", completion: "the" }],
      {},
      "In 1 rows one token holds the end of the prompt and the beginning of the answer",
    ],
    ["prompts without a separator", [{ prompt: "a", completion: "b" }], {}, "In 1 rows prompt and completion meet without a blank"],
  ])("warns of %s", async (_name, rows, options, warning) => {
    const { report } = await load(rows, options);
    expect(report.warnings.filter((text) => text.startsWith(warning))).toHaveLength(1);
  });

  it.each<[string, unknown[], Partial<DatasetOptions>, string]>([
    ["a wrong row", [{ text: "a" }, { text: 3 }], {}, 'd.jsonl:2: "text" must be a text'],
    [
      "a row of another format",
      [{ text: "a" }, { prompt: "a", completion: "b" }],
      {},
      'd.jsonl:2: "text" must be a text, but it is missing.',
    ],
    [
      "what the template refuses",
      [{ messages: chat }],
      { template: "{{ raise_exception('No!') }}" },
      "d.jsonl:1: The chat template refuses this chat: No!",
    ],
    [
      "a chat in which only the user speaks",
      [{ messages: chat.slice(0, 1) }],
      { maxLength: 100 },
      "d.jsonl: None of the 1 rows (format chat, loss over completions) has a supervised token: 1 × nothing supervised.",
    ],
    [
      "completions that all come too late",
      [{ prompt: "x".repeat(50), completion: "y" }],
      {},
      "1 × nothing supervised in the first 40 tokens. Check the columns and the roles, raise the length",
    ],
    [
      "completions of a format that has none",
      [{ text: "a" }],
      { loss: "completion" },
      "d.jsonl: The format text has no completion, so nothing would be supervised.",
    ],
    [
      "texts that are all empty",
      [{ text: "" }],
      {},
      "(format text, loss over all tokens) has a supervised token: 1 × empty text or completion.",
    ],
  ])("refuses %s", async (_name, rows, options, message) => {
    await expect(load(rows, options)).rejects.toThrow(message);
    await expect(load(rows, options)).rejects.toThrow(expect.objectContaining({ code: "invalid-data" }));
  });
});

// Tokens, supervised tokens and truncated rows of the first three were recomputed with tokenizers 0.23.2.
describe.skipIf(!hasShared)("real data sets", () => {
  const folders = { smollm: ["tokenizers", "smollm"], tinyllama: ["tokenizers", "tinyllama"], stories260k: ["models", "stories260k"] };
  const loaded = new Map<string, Promise<Tokenizer>>();
  const tokenizerOf = (name: keyof typeof folders): Promise<Tokenizer> => {
    if (!loaded.has(name)) loaded.set(name, loadTokenizer(sharedPath(...folders[name])));
    return loaded.get(name)!;
  };
  const data = (...parts: string[]): string => sharedPath("data", ...parts);
  const answers = { prompt: "question", completion: "answer" };
  const chatml = (): Promise<string> => readFile(sharedPath("chat-templates", "qwen2_5.jinja"), "utf8");
  const toolcall = data("toolcall", "glaive_toolcall_en_demo.json");

  interface Case {
    path: string;
    tokenizer: keyof typeof folders;
    options?: Partial<DatasetOptions>;
    report: object;
    template?: () => Promise<string>;
  }
  const cases: Record<string, Case> = {
    "gsm8k, 128 tokens": {
      path: data("gsm8k", "test.jsonl"),
      tokenizer: "smollm",
      options: { fields: answers, maxLength: 128 },
      report: {
        format: "completion",
        rows: 1319,
        examples: 1304,
        truncated: 1048,
        tokens: 161_806,
        supervisedTokens: 82_208,
        dropped: { "nothing supervised in the first 128 tokens": 15 },
      },
    },
    alpaca: {
      path: data("instruction", "instruction-data.json"),
      tokenizer: "tinyllama",
      report: {
        format: "alpaca",
        rows: 1100,
        examples: 1100,
        truncated: 0,
        tokens: 76_991,
        supervisedTokens: 16_548,
        longest: 117,
        warnings: [],
      },
    },
    tinystories: {
      path: data("tinystories", "tinystories_1000.json"),
      tokenizer: "stories260k",
      options: { maxLength: 257 },
      report: { format: "text", loss: "all", rows: 1000, truncated: 982, tokens: 256_669, supervisedTokens: 255_669, longest: 257 },
    },
    "alpaca with preferences": {
      path: data("instruction", "instruction-data-with-preference.json"),
      tokenizer: "smollm",
      report: { format: "alpaca", rows: 1100, tokens: 66_376, supervisedTokens: 14_910, longest: 103, warnings: [] },
    },
    "e2e, two columns": {
      path: data("e2e", "devset.csv"),
      tokenizer: "smollm",
      options: { fields: { prompt: "mr", completion: "ref" } },
      report: { format: "completion", rows: 4672, tokens: 303_638, supervisedTokens: 135_854, longest: 138 },
    },
    "e2e, one text": {
      path: data("e2e", "valid.txt"),
      tokenizer: "smollm",
      report: { format: "text", rows: 1, examples: 1, truncated: 1, cutTokens: 293_959, endToken: undefined },
    },
    "wikisql, a folder": {
      path: data("wikisql"),
      tokenizer: "smollm",
      report: { format: "text", rows: 1200, tokens: 113_576, supervisedTokens: 112_376, longest: 222, warnings: [] },
    },
    "bbh, a pattern": {
      path: data("bbh", "bbh", "logical*.json"),
      tokenizer: "smollm",
      options: { fields: { prompt: "input", completion: "target" } },
      report: { format: "completion", rows: 750, tokens: 112_901, supervisedTokens: 3000, longest: 239 },
    },
    "toolcall with a template that knows no tools": {
      path: toolcall,
      tokenizer: "tinyllama",
      options: { maxLength: 2048 },
      report: {
        format: "sharegpt",
        template: "model",
        rows: 300,
        examples: 299,
        truncated: 1,
        tokens: 125_647,
        supervisedTokens: 90_313,
        warnings: [
          'In 153 rows the chat template leaves out messages of role "tool". Use another template.',
          "In 153 rows the chat template leaves out tool calls. Use another template.",
          "In 189 rows the chat template leaves out tools. Use another template.",
        ],
      },
    },
    "toolcall with plain headings": {
      path: toolcall,
      tokenizer: "smollm",
      options: { maxLength: 2048 },
      report: {
        template: "plain",
        examples: 299,
        tokens: 149_466,
        supervisedTokens: 87_953,
        longest: 1998,
        endToken: { id: 0, text: "<|endoftext|>", examples: 299, stops: true },
        warnings: [],
      },
    },
    "toolcall with ChatML": {
      path: toolcall,
      tokenizer: "smollm",
      options: { maxLength: 1024 },
      template: chatml,
      report: {
        template: "given",
        examples: 299,
        truncated: 30,
        tokens: 172_704,
        supervisedTokens: 85_571,
        endToken: { id: 2, text: "<|im_end|>", examples: 297, stops: false },
      },
    },
  };

  it.each(Object.entries(cases))("%s", async (_name, { path, tokenizer: name, options = {}, report, template }) => {
    const tokenizer = await tokenizerOf(name);
    const dataset = await loadDataset({ path, tokenizer, maxLength: 512, template: await template?.(), ...options });
    expect(dataset.report).toMatchObject(report);
    expect(dataset.examples).toHaveLength(dataset.report.examples);
    for (const { ids, supervised } of dataset.examples) {
      expect(ids.length).toBe(supervised.length);
      expect(supervised[0]).toBe(0);
    }
  });

  it.each([
    [
      data("instruction", "seed_tasks.jsonl"),
      "seed_tasks.jsonl:1: No data format has the columns id, name, instruction, instances, is_classification.",
    ],
    [data("sms-spam", "SMSSpamCollection"), "Data files end with .jsonl"],
    [data("sms-spam"), "No data file is here"],
  ])("refuses %s", async (path, message) => {
    await expect(loadDataset({ path, tokenizer, maxLength: 512 })).rejects.toThrow(message);
  });
});
