/** @file Small tokenizers for tests: every byte and a few words, spelled in the byte-level alphabet or with `▁` and byte fallback; T5's and BERT's kinds. */
import { byteAlphabet, bytePiece } from "../src/formats/tokenizer-bytes.ts";
import type { TokenizerFiles } from "../src/formats/tokenizer-files.ts";
import { tokenizerJson } from "../src/formats/tokenizer-json.ts";

const added = (contents: readonly string[], first: number): object[] =>
  contents.map((content, index) => ({ id: first + index, content, special: true, normalized: false }));

const numbered = (pieces: readonly string[]): Record<string, number> => Object.fromEntries(pieces.map((piece, id) => [piece, id]));

const merged = (merges: readonly (readonly [string, string])[]): string[] => merges.map((merge) => merge.join(""));

type Overrides = Partial<TokenizerFiles> & { readonly json?: object };

/** Ids 0–255 are the bytes in alphabet order, then `th`, `the`, `Ġthe`, `ing`, `ĊĊ`, then `<|end|>`, `<|im_start|>`, `<|im_end|>`. */
export const byteLevelFiles = ({ json, ...overrides }: Overrides = {}): TokenizerFiles => {
  const merges = [
    ["t", "h"],
    ["th", "e"],
    ["Ġ", "the"],
    ["n", "g"],
    ["i", "ng"],
    ["Ċ", "Ċ"],
  ] as const;
  const pieces = [...byteAlphabet.keys(), ...merged(merges)];
  const tokenizer = {
    model: { type: "BPE", vocab: numbered(pieces), merges },
    added_tokens: added(["<|end|>", "<|im_start|>", "<|im_end|>"], pieces.length),
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    decoder: { type: "ByteLevel" },
    ...json,
  };
  return {
    path: "tokenizer.json",
    tokenizer: tokenizerJson(tokenizer, "tokenizer.json"),
    specialTokens: { eos_token: "<|end|>" },
    eosIds: [],
    chatTemplate: undefined,
    ...overrides,
  };
};

/** `<unk>` `<s>` `</s>`, the 256 byte pieces, then printable ASCII as characters, then `▁the` and `ing`; BOS goes before every text. */
export const llamaFiles = ({ json, ...overrides }: Overrides = {}): TokenizerFiles => {
  const merges = [
    ["t", "h"],
    ["th", "e"],
    ["▁", "the"],
    ["n", "g"],
    ["i", "ng"],
  ] as const;
  const bytes = Array.from({ length: 256 }, (_, byte) => bytePiece(byte));
  const printable = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
  const pieces = ["<unk>", "<s>", "</s>", ...bytes, "▁", ...printable, ...merged(merges)];
  const tokenizer = {
    model: { type: "BPE", vocab: numbered(pieces), merges, unk_token: "<unk>", fuse_unk: true, byte_fallback: true },
    added_tokens: added(["<unk>", "<s>", "</s>"], 0),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    ...json,
  };
  return {
    path: "tokenizer.json",
    tokenizer: tokenizerJson(tokenizer, "tokenizer.json"),
    specialTokens: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
    eosIds: [2],
    chatTemplate: undefined,
    ...overrides,
  };
};

/**
 * T5's kind: `<pad>` `</s>` `<unk>`, then letters, punctuation and a few words with their scores, the bytes where asked, and two sentinels;
 * the end token comes after every text.
 */
export const unigramFiles = ({
  json,
  byteFallback = false,
  ...overrides
}: Overrides & { readonly byteFallback?: boolean } = {}): TokenizerFiles => {
  const letters = Array.from("etaoinshrdlucmfwygpbvk.,!?'-TAS", (letter, rank): [string, number] => [letter, -4 - rank / 8]);
  const words = ["▁the", "▁a", "▁th", "▁house", "▁s", "he", "in", "ing", "▁Th", "is", "er"].map((word, rank): [string, number] => [
    word,
    -3 - rank / 4,
  ]);
  const bytes = Array.from({ length: byteFallback ? 256 : 0 }, (_, byte): [string, number] => [bytePiece(byte), -12]);
  const specials = ["<pad>", "</s>", "<unk>"];
  const sentinels = ["<extra_id_1>", "<extra_id_0>"];
  const known: [string, number][] = [
    ...specials.map((content): [string, number] => [content, 0]),
    ["▁", -3.5],
    ...letters,
    ...words,
    ...bytes,
  ];
  const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true };
  const tokenizer = {
    model: { type: "Unigram", unk_id: 2, vocab: [...known, ...sentinels.map((content) => [content, 0])], byte_fallback: byteFallback },
    added_tokens: [...added(specials, 0), ...added(sentinels, known.length)],
    normalizer: { type: "NFKC" },
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, metaspace] },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "</s>", type_id: 0 } }],
      pair: [],
      special_tokens: { "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] } },
    },
    decoder: metaspace,
    ...json,
  };
  return {
    path: "tokenizer.json",
    tokenizer: tokenizerJson(tokenizer, "tokenizer.json"),
    specialTokens: { eos_token: "</s>", pad_token: "<pad>", unk_token: "<unk>" },
    eosIds: [1],
    chatTemplate: undefined,
    ...overrides,
  };
};

/** BERT's: `[PAD]` `[UNK]` `[CLS]` `[SEP]`, then `the` `fox` `run` `##s` `##ning` `win` `now` `!` `cafe`; the second text of a pair is of kind 1. */
export const wordPieceFiles = ({ json, ...overrides }: Overrides = {}): TokenizerFiles => {
  const special = (id: string, type: number): object => ({ SpecialToken: { id, type_id: type } });
  const single = [special("[CLS]", 0), { Sequence: { id: "A", type_id: 0 } }, special("[SEP]", 0)];
  const pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "fox", "run", "##s", "##ning", "win", "now", "!", "cafe"];
  const tokenizer = {
    model: { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##", vocab: numbered(pieces) },
    added_tokens: added(pieces.slice(0, 4), 0),
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single,
      pair: [...single, { Sequence: { id: "B", type_id: 1 } }, special("[SEP]", 1)],
      special_tokens: {},
    },
    decoder: { type: "WordPiece" },
    ...json,
  };
  return {
    path: "tokenizer.json",
    tokenizer: tokenizerJson(tokenizer, "tokenizer.json"),
    specialTokens: { cls_token: "[CLS]", sep_token: "[SEP]", pad_token: "[PAD]", unk_token: "[UNK]" },
    eosIds: [],
    chatTemplate: undefined,
    ...overrides,
  };
};
