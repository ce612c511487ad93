import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { llamaCppTokens, stopLlamaCpp } from "../../test/llama-cpp.ts";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { byteLevelFiles, llamaFiles } from "../../test/tiny-tokenizer.ts";
import { ggufTokenizer, readGgufTokenizer } from "./gguf-tokenizer.ts";
import { gguf, type GgufMetadata } from "./gguf-types.ts";
import { writeGguf } from "./gguf-write.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";
import { createTokenizer, loadTokenizer } from "./tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-gguf-tokenizer-"));
afterAll(async () => {
  await stopLlamaCpp();
  rmSync(folder, { recursive: true });
});

/** A file without weights, which is enough to read texts. */
const vocabulary = async (metadata: GgufMetadata): Promise<string> => {
  const path = join(folder, "vocabulary.gguf");
  const general = [["general.architecture", gguf.string("llama")]] as const;
  await writeGguf(path, { metadata: new Map([...general, ...metadata]), tensors: [] });
  return path;
};

const texts = [
  "Hello, world!",
  "the thing  with   spaces\n\n\tand\ttabs ",
  " leading",
  "3.14 + 27 = 1000000?!",
  "Zażółć gęślą jaźń. Ελληνικά, русский, 日本語, עברית",
  "🦙🚀 e\u0301 ½ don't DON'T we've",
  "for (let i = 0; i < n; i++) { x[i] = '\\n'; }",
];

const surrounded = async (files: TokenizerFiles, size: number): Promise<void> => {
  const tokenizer = createTokenizer(files);
  const path = await vocabulary(ggufTokenizer(files, size).metadata);
  expect(await llamaCppTokens(path, texts)).toEqual(texts.map((text) => tokenizer.encode(text, { specialTokens: false })));
};

describe("llama.cpp splits texts into the same tokens", () => {
  it("with marks for spaces and byte fallback", () => surrounded(llamaFiles(), 400));
  it("without a space before texts", () =>
    surrounded(llamaFiles({ json: { normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" } } }), 400));
  it("in the byte-level alphabet", () => surrounded(byteLevelFiles(), 300));
  it("in the byte-level alphabet with digits one by one", () => {
    const digits = { type: "Digits", individual_digits: true };
    const pretokenizers = [digits, { type: "ByteLevel", add_prefix_space: false, use_regex: true }];
    return surrounded(byteLevelFiles({ json: { pre_tokenizer: { type: "Sequence", pretokenizers } } }), 300);
  });

  const split = (pattern: string, behavior = "Isolated", invert = false): object => ({
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior, invert },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
  });
  const rest = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
  const letters = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+`;
  it.each([
    ["Qwen", split(String.raw`${letters}|\p{N}${rest}`), "qwen2"],
    ["OLMo", split(String.raw`${letters}|\p{N}{1,3}${rest}`, "Removed", true), "dbrx"],
  ])("as %s does", async (_, json, name) => {
    const files = byteLevelFiles({ json });
    await surrounded(files, 300);
    expect(ggufTokenizer(files, 300).metadata.get("tokenizer.ggml.pre")).toEqual(gguf.string(name));
  });

  it("where special tokens swallow the spaces behind them, as in Phi-3", async () => {
    const content = (token: string): object => ({
      content: token,
      special: true,
      normalized: false,
      rstrip: token.startsWith("<|") || token === "</s>",
    });
    const added = ["<unk>", "<s>", "</s>", "<|user|>", "<|end|>"].map((token, index) => ({
      ...content(token),
      id: index < 3 ? index : 356 + index,
    }));
    const files = llamaFiles({ json: { added_tokens: [...added, { ...content("<|endoftext|>"), rstrip: false, id: 361 }] } });
    const { metadata, nameMark, notes } = ggufTokenizer(files, 362);
    expect([nameMark, notes]).toEqual(["phi-3", []]);
    const path = await vocabulary(new Map([["general.name", gguf.string(nameMark!)], ...metadata]));
    const chat = ["<|user|>  the thing<|end|>\n<|user|>the <s>  x</s> y"];
    expect(await llamaCppTokens(path, chat)).toEqual(chat.map((text) => createTokenizer(files).encode(text, { specialTokens: false })));
  });

  it("of the embedded model", async () => {
    const directory = resolve(import.meta.dirname, "../../assets/tiny");
    const tokenizer = await loadTokenizer(directory);
    const path = await vocabulary((await readGgufTokenizer(directory, 1536)).metadata);
    const chat = "<s><user>Mia wants two red apples.<assistant>";
    expect(await llamaCppTokens(path, [...texts, chat])).toEqual(
      [...texts, chat].map((text) => tokenizer.encode(text, { specialTokens: false })),
    );
  });

  it.skipIf(!hasShared).each([
    ["gpt2", 50_257],
    ["smollm", 49_154],
    ["tinyllama", 32_000],
  ])("of %s", async (name, size) => {
    const directory = sharedPath("tokenizers", name);
    const tokenizer = await loadTokenizer(directory);
    const vectors = JSON.parse(readFileSync(join(directory, "vectors.json"), "utf8")) as { text: string }[];
    const all = [...texts, ...vectors.map(({ text }) => text)];
    const path = await vocabulary((await readGgufTokenizer(directory, size)).metadata);
    const [theirs, ours] = [await llamaCppTokens(path, all), all.map((text) => tokenizer.encode(text, { specialTokens: false }))];
    for (const [index, text] of all.entries()) expect([text, theirs[index]]).toEqual([text, ours[index]]);
  });
});

describe("the metadata", () => {
  it("have every token with its type, scores by the merges' order, and what goes around texts", () => {
    const { metadata, notes } = ggufTokenizer(llamaFiles({ chatTemplate: "{{ messages }}" }), 365);
    const values = (key: string): readonly unknown[] => {
      const value = metadata.get(`tokenizer.ggml.${key}`)!;
      return value.type === "array" ? value.values : [value.value];
    };
    const tokens = values("tokens");
    expect(tokens).toHaveLength(365);
    expect(tokens.slice(0, 4)).toEqual(["<unk>", "<s>", "</s>", "<0x00>"]);
    expect(values("token_type").slice(0, 4)).toEqual([2, 3, 3, 6]);
    expect([tokens.at(-1), values("token_type").at(-1)]).toEqual(["[PAD364]", 5]);
    const score = (token: string): unknown => values("scores")[tokens.indexOf(token)];
    expect(["th", "the", "▁the", "ng", "ing", "a"].map(score)).toEqual([0, -1, -2, -3, -4, -5]);
    expect(["bos_token_id", "eos_token_id", "unknown_token_id", "add_bos_token", "add_eos_token"].flatMap(values)).toEqual([
      1,
      2,
      0,
      true,
      false,
    ]);
    expect(metadata.get("tokenizer.chat_template")).toEqual(gguf.string("{{ messages }}"));
    expect(notes).toEqual([]);
  });

  it("say what GGUF leaves out", () => {
    expect(ggufTokenizer(byteLevelFiles({ json: { normalizer: { type: "NFC" } } }), 300).notes).toEqual([
      "GGUF has no Unicode normalisation: texts that are not in NFC get other tokens than here.",
    ]);
  });

  it("say that tokens which swallow spaces do not", () => {
    const swallow = { id: 364, content: "<mask>", special: true, lstrip: true };
    const { notes, nameMark } = ggufTokenizer(
      llamaFiles({ json: { added_tokens: [...llamaFiles().tokenizer.added_tokens, swallow] } }),
      365,
    );
    expect(nameMark).toBeUndefined();
    expect(notes).toEqual([
      "GGUF has no tokens that swallow the spaces beside them, as <mask> does: texts with it get other tokens than here.",
    ]);
  });

  const merges = [
    ["t", "h"],
    ["th", "e"],
    ["▁", "the"],
    ["n", "g"],
    ["i", "ng"],
  ];
  const model = (changes: object): object => ({ model: { ...(llamaFiles().tokenizer.model as object), ...changes } });
  const byteModel = (changes: object): object => ({ model: { ...(byteLevelFiles().tokenizer.model as object), ...changes } });
  it.each<[string, TokenizerFiles, string]>([
    ["more tokens than embeddings", llamaFiles(), "it has 359 tokens, the model 100 embeddings"],
    ["another model", llamaFiles({ json: model({ type: "WordPiece", continuing_subword_prefix: "##" }) }), "its model is WordPiece"],
    ["no byte fallback", llamaFiles({ json: model({ byte_fallback: false }) }), "it has no byte fallback"],
    [
      "merges out of order",
      llamaFiles({ json: model({ merges: [...merges, ["t", "he"], ["t", "h"]] }) }),
      'the merges of "the" do not follow',
    ],
    ["a merge left out", llamaFiles({ json: model({ merges: merges.slice(0, 4) }) }), 'no merge joins "i" and "ng"'],
    ["lower case", llamaFiles({ json: { normalizer: { type: "Lowercase" } } }), "its normalizer has Lowercase"],
    ["no marks", llamaFiles({ json: { normalizer: null } }), "nothing in it marks spaces"],
    [
      "a space before the first piece alone",
      llamaFiles({ json: { normalizer: null, pre_tokenizer: { type: "Metaspace", prepend_scheme: "first", split: false } } }),
      "it puts a space before the first piece of a text alone",
    ],
    ["words cut at marks", llamaFiles({ json: { pre_tokenizer: { type: "Metaspace" } } }), "its pre-tokenizer splits at spaces"],
    [
      "a space before texts in bytes",
      byteLevelFiles({ json: { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } } }),
      "its pre-tokenizer has ByteLevel with settings",
    ],
    [
      "an unknown split",
      byteLevelFiles({
        json: { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: false }, { type: "ByteLevel" }] } },
      }),
      "its pre-tokenizer has Digits with settings",
    ],
    [
      "an unknown order",
      byteLevelFiles({ json: { pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "ByteLevel" }, { type: "ByteLevel" }] } } }),
      "its way to split texts into words has no name in GGUF (named are gpt-2, smollm",
    ],
    ["pieces with affixes", byteLevelFiles({ json: byteModel({ end_of_word_suffix: "</w>" }) }), "its pieces have affixes"],
    ["another normalizer", byteLevelFiles({ json: { normalizer: { type: "NFKC" } } }), "its normalizer has NFKC"],
  ])("are refused for %s", (_, files, message) => {
    expect(() => ggufTokenizer(files, message.includes("embeddings") ? 100 : 400)).toThrow(
      `GGUF cannot express this tokenizer: ${message}`,
    );
  });
});
