import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { byteLevelFiles, llamaFiles, unigramFiles } from "../../test/tiny-tokenizer.ts";
import { createTokenizer, loadTokenizer, streamDecoder, type Tokenizer } from "./tokenizer.ts";

const streamed = (tokenizer: Tokenizer, ids: readonly number[], skipSpecial: boolean): string => {
  const stream = streamDecoder(tokenizer, { skipSpecial });
  return ids.map((id) => stream.push(id)).join("") + stream.flush();
};

const spans = (tokenizer: Tokenizer, text: string): (string | undefined)[][] => {
  const { ids, starts, ends } = tokenizer.encodeWithOffsets(text);
  return ids.map((id, index) => [tokenizer.piece(id), text.slice(starts[index], ends[index])]);
};

describe("a byte-level tokenizer", () => {
  const tokenizer = createTokenizer(byteLevelFiles());

  it.each([
    ["the thing", ["the", "Ġ", "th", "ing"]],
    [" the", ["Ġthe"]],
    ["é", ["Ã", "©"]],
    ["a<|end|>b", ["a", "<|end|>", "b"]],
    ["\ufeff", ["ï", "»", "¿"]],
    ["", []],
  ])("spells %j", (text, pieces) => {
    const ids = tokenizer.encode(text);
    expect(ids.map(tokenizer.piece)).toEqual(pieces);
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(text);
  });

  it("gives each token its characters; the tokens of one character all have the whole of it", () => {
    expect(spans(tokenizer, "the é<|end|>")).toEqual([
      ["the", "the"],
      ["Ġ", " "],
      ["Ã", "é"],
      ["©", "é"],
      ["<|end|>", "<|end|>"],
    ]);
  });

  it("leaves special tokens out of decoded text unless asked, and ids outside the vocabulary always", () => {
    expect(tokenizer.decode([...tokenizer.encode("the<|end|>"), 99_999])).toBe("the");
    expect(tokenizer.decode([262], { skipSpecial: false })).toBe("<|end|>");
    expect(tokenizer.decode([])).toBe("");
  });

  it("tells the texts of single tokens, with bytes that are no character as such", () => {
    expect(
      ["Ġthe", "Ã", "ĊĊ"].map((piece) => tokenizer.tokenText(tokenizer.encode("é the\n\n").find((id) => tokenizer.piece(id) === piece)!)),
    ).toEqual([" the", "<0xC3>", "\n\n"]);
    expect(tokenizer.tokenText(262)).toBe("<|end|>");
    expect(tokenizer.tokenText(99_999)).toBe("");
  });

  it("names its special tokens", () => {
    expect(tokenizer).toMatchObject({ vocabularySize: 265, bosId: undefined, eosId: 262, eosIds: [262], addsBos: false, padId: undefined });
    expect([261, 262, 264].map(tokenizer.isSpecial)).toEqual([false, true, true]);
  });
});

// Figures of the tokenizers library 0.23.
describe("a Unigram tokenizer of T5's kind", () => {
  const [tokenizer, spelling] = [createTokenizer(unigramFiles()), createTokenizer(unigramFiles({ byteFallback: true }))];

  it.each([
    ["The house is there.", [43, 4, 38, 3, 44, 35, 12, 4, 26, 1], "The house is there."],
    ["  a\tthing\n", [36, 37, 42, 1], "a thing"],
    ["<extra_id_0> sings<extra_id_1>", [47, 39, 42, 10, 46, 1], "sings"],
    ["ﬁne ½ é", [3, 18, 41, 4, 3, 2, 3, 2, 1], "fine  "],
    ["日本 house", [3, 2, 38, 1], " house"],
    ["</s>the", [1, 35, 1], "the"],
    ["", [1], ""],
  ])("spells %j by scores, with the end token behind it", (text, ids, decoded) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.encode(text, { specialTokens: false })).toEqual(ids.slice(0, -1));
    expect(tokenizer.decode(ids)).toBe(decoded);
    expect(streamed(tokenizer, ids, true)).toBe(decoded);
  });

  it.each([
    ["ﬁne ½ é", [3, 18, 41, 4, 3, 95, 272, 175, 178, 96, 3, 241, 215, 1]],
    ["日本 house", [3, 276, 197, 211, 276, 202, 218, 38, 1]],
    ["<extra_id_0> sings<extra_id_1>", [303, 39, 42, 10, 302, 1]],
  ])("spells what it lacks of %j in bytes where its model says so", (text, ids) => {
    expect(spelling.encode(text)).toEqual(ids);
  });

  it("names its special tokens, the unknown one by its id", () => {
    expect(tokenizer).toMatchObject({ eosId: 1, padId: 0, unkId: 2, bosId: undefined, addsBos: false, eosIds: [1], vocabularySize: 48 });
  });

  it("gives each token its characters, the unknown one all that has no piece", () => {
    expect(spans(tokenizer, "the 日本 sings")).toEqual([
      ["▁the", "the"],
      ["▁", " "],
      ["<unk>", "日本"],
      ["▁s", " s"],
      ["ing", "ing"],
      ["s", "s"],
    ]);
  });
});

describe("a tokenizer with byte fallback and a prefix space", () => {
  const tokenizer = createTokenizer(llamaFiles());

  it.each([
    ["the thing", ["▁the", "▁", "th", "ing"], "the thing"],
    [" a", ["▁", "▁", "a"], " a"],
    ["é", ["▁", "<0xC3>", "<0xA9>"], "é"],
    ["</s>the", ["</s>", "▁the"], " the"],
  ])("spells %j", (text, pieces, decoded) => {
    const ids = tokenizer.encode(text, { specialTokens: false });
    expect(ids.map(tokenizer.piece)).toEqual(pieces);
    expect(tokenizer.encode(text)).toEqual([1, ...ids]);
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(text.startsWith("</s>") ? "</s> the" : decoded);
  });

  it("gives the added space no characters", () => {
    expect(spans(tokenizer, "é the▁a")).toEqual([
      ["▁", ""],
      ["<0xC3>", "é"],
      ["<0xA9>", "é"],
      ["▁the", " the"],
      ["▁", "▁"],
      ["a", "a"],
    ]);
  });

  it("shows every byte of a run that is not UTF-8 as a replacement character, as the reference does", () => {
    expect(tokenizer.decode([3 + 0xc3, 3 + 0xa9, 3 + 0xe2])).toBe("\ufffd\ufffd\ufffd");
    expect(tokenizer.decode([3 + 0xef, 3 + 0xbb, 3 + 0xbf])).toBe("\ufeff");
  });

  it("holds bytes back until their run ends and drops the first space only", () => {
    const stream = streamDecoder(tokenizer);
    const ids = tokenizer.encode("é the the");
    expect(ids.map((id) => stream.push(id))).toEqual(["", "", "", "", "é the", " the"]);
    expect(stream.flush()).toBe("");
  });

  it("starts anew after a flush", () => {
    const stream = streamDecoder(tokenizer);
    for (const text of ["the", "the"])
      expect(
        tokenizer
          .encode(text)
          .map((id) => stream.push(id))
          .join("") + stream.flush(),
      ).toBe(text);
  });
});

describe("streaming", () => {
  const files = { "byte-level": byteLevelFiles(), llama: llamaFiles() };

  it.each(["byte-level", "llama"] as const)("gives what decoding at once gives (%s)", (name) => {
    const tokenizer = createTokenizer(files[name]);
    const ids = fc.array(fc.nat(tokenizer.vocabularySize + 2), { maxLength: 40 });
    fc.assert(
      fc.property(
        ids,
        fc.boolean(),
        (ids, skipSpecial) => streamed(tokenizer, ids, skipSpecial) === tokenizer.decode(ids, { skipSpecial }),
      ),
    );
  });

  it("returns every text of a byte-level tokenizer unchanged", () => {
    const tokenizer = createTokenizer(byteLevelFiles());
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => streamed(tokenizer, tokenizer.encode(text), false) === text));
  });
});

describe("other components of tokenizer.json", () => {
  const pieces = { "[UNK]": 0, the: 1, "##ing": 2, th: 3, ",": 4, cafe: 5 };
  const wordPiece = createTokenizer(
    byteLevelFiles({
      json: {
        model: { type: "WordPiece", vocab: pieces, unk_token: "[UNK]", continuing_subword_prefix: "##" },
        added_tokens: [],
        normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
        pre_tokenizer: { type: "BertPreTokenizer" },
        decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      },
    }),
  );

  it("traces WordPiece tokens through lower case, stripped accents, blanks and unknown words", () => {
    const text = "The  Café, ☃☃ thing";
    expect(spans(wordPiece, text)).toEqual([
      ["the", "The"],
      ["cafe", "Café"],
      [",", ","],
      ["[UNK]", " ☃☃ "],
      ["th", "th"],
      ["##ing", "ing"],
    ]);
    expect(wordPiece.decode(wordPiece.encode("the, thing"))).toBe("the, thing");
  });

  it("traces tokens through composition of letters and marks", () => {
    const tokenizer = createTokenizer(byteLevelFiles({ json: { normalizer: { type: "NFC" } } }));
    expect(spans(tokenizer, "e\u0301a")).toEqual([
      ["Ã", "e\u0301"],
      ["©", "e\u0301"],
      ["a", "a"],
    ]);
  });

  it("drops what the vocabulary cannot spell before merging, so that its neighbours merge", () => {
    const { tokenizer: json } = byteLevelFiles();
    const { Ä: _removed, ...vocab } = json.model["vocab"] as Record<string, number>;
    const tokenizer = createTokenizer(byteLevelFiles({ json: { model: { ...json.model, vocab } } }));
    expect(spans(tokenizer, "t\u0100h")).toEqual([
      ["t", "t"],
      ["Ģ", "\u0100"],
      ["h", "h"],
    ]);
  });

  it("decodes Metaspace, bare Strip and no decoder", () => {
    const decode = (decoder: object | null, ids: number[]): string =>
      createTokenizer(llamaFiles({ json: { decoder } })).decode(ids, { skipSpecial: false });
    const ids = createTokenizer(llamaFiles()).encode("the the", { specialTokens: false });
    expect(decode({ type: "Metaspace", replacement: "▁", prepend_scheme: "always" }, ids)).toBe("the the");
    expect(decode({ type: "Metaspace", replacement: "▁", prepend_scheme: "never" }, ids)).toBe(" the the");
    expect(decode({ type: "Strip", content: "▁", start: 1, stop: 0 }, ids)).toBe("thethe");
    expect(decode(null, ids)).toBe("▁the ▁the");
    const fused = { type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Replace", pattern: { String: "e▁t" }, content: "-" }] };
    expect(decode(fused, ids)).toBe("▁th-he");
    expect(decode({ type: "Sequence", decoders: [{ type: "Fuse" }, { type: "Strip", content: "e", start: 0, stop: 2 }] }, ids)).toBe(
      "▁the▁th",
    );
  });

  it("refuses a decoder that it does not know", () => {
    const tokenizer = createTokenizer(llamaFiles({ json: { decoder: { type: "CTC" } } }));
    expect(() => tokenizer.decode([5])).toThrow("The decoder CTC of tokenizer.json is not offered.");
  });

  it("refuses a pre-tokenizer that it does not know", () => {
    expect(() => createTokenizer(llamaFiles({ json: { pre_tokenizer: { type: "Runes" } } }))).toThrow("Unknown PreTokenizer type: Runes");
  });
});

describe("loadTokenizer", () => {
  const folderWith = async (files: Readonly<Record<string, unknown>>): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
    return folder;
  };
  const tokenizerJson = llamaFiles().tokenizer;

  it("takes special tokens from every file, and the template from its newest place", async () => {
    const folder = await folderWith({
      "tokenizer.json": tokenizerJson,
      "tokenizer_config.json": {
        eos_token: { content: "</s>" },
        chat_template: [
          { name: "tool_use", template: "t" },
          { name: "default", template: "d" },
        ],
      },
      "special_tokens_map.json": { eos_token: "<unk>", pad_token: "<s>" },
      "config.json": { bos_token_id: 1, eos_token_id: 7 },
      "generation_config.json": { eos_token_id: [2, 9] },
    });
    expect(await loadTokenizer(folder)).toMatchObject({
      specialTokens: { bos_token: "<s>", eos_token: "</s>", pad_token: "<s>" },
      bosId: 1,
      eosId: 2,
      padId: 1,
      unkId: 0,
      eosIds: [2, 9],
      addsBos: true,
      chatTemplate: "d",
    });
    await writeFile(join(folder, "chat_template.jinja"), "j");
    expect((await loadTokenizer(folder)).chatTemplate).toBe("j");
  });

  it.each([
    ["no tokenizer.json", {}, "tokenizer.json: The model folder has no tokenizer.json."],
    ["broken JSON", { "tokenizer.json": "{" }, "tokenizer.json: The file is not valid JSON"],
    [
      "broken JSON beside it",
      { "tokenizer.json": tokenizerJson, "tokenizer_config.json": "[1" },
      "tokenizer_config.json: The file is not valid JSON",
    ],
    ["no vocabulary", { "tokenizer.json": { model: {} } }, `tokenizer.json: "model" has no "vocab".`],
    [
      "wrong added tokens",
      { "tokenizer.json": { ...tokenizerJson, added_tokens: [{ id: -1, content: "a" }] } },
      `"added_tokens" is not a list of tokens`,
    ],
    ["a wrong component", { "tokenizer.json": { ...tokenizerJson, decoder: 3 } }, `"decoder" is not an object with a "type".`],
  ])("names the file: %s", async (_name, files, message) => {
    await expect(loadTokenizer(await folderWith(files))).rejects.toThrow(message);
  });
});

describe.skipIf(!hasShared)("the reference tokenizers", () => {
  const folders = {
    gpt2: sharedPath("tokenizers", "gpt2"),
    smollm: sharedPath("tokenizers", "smollm"),
    tinyllama: sharedPath("tokenizers", "tinyllama"),
    stories260k: sharedPath("models", "stories260k"),
  };

  const loaded = new Map<string, Promise<Tokenizer>>();
  const load = (name: keyof typeof folders): Promise<Tokenizer> => {
    if (!loaded.has(name)) loaded.set(name, loadTokenizer(folders[name]));
    return loaded.get(name)!;
  };

  interface Vector {
    text: string;
    ids: number[];
    ids_no_special: number[];
    decoded: string;
  }
  // smollm's tokenizer.json pads to 192 ids and truncates there, which its vectors therefore do too.
  const configured: Record<string, (ids: number[]) => number[]> = {
    smollm: (ids) => Array.from({ length: 192 }, (_, index) => ids[index] ?? 49_152),
  };

  it.each(["gpt2", "smollm", "tinyllama"] as const)("%s equals its vectors", async (name) => {
    const tokenizer = await load(name);
    const shape = configured[name] ?? ((ids) => ids);
    const vectors = JSON.parse(await readFile(join(folders[name], "vectors.json"), "utf8")) as Vector[];
    expect(vectors).toHaveLength(23);
    for (const { text, ids, ids_no_special: plain, decoded } of vectors) {
      expect(shape(tokenizer.encode(text)), text).toEqual(ids);
      expect(shape(tokenizer.encode(text, { specialTokens: false })), text).toEqual(plain);
      expect(tokenizer.decode(ids), text).toBe(decoded);
    }
  });

  it("stories260k gives the known ids and special tokens", async () => {
    const tokenizer = await load("stories260k");
    expect(tokenizer.encode("Once upon a time")).toEqual([1, 403, 407, 261, 378]);
    expect(tokenizer).toMatchObject({ vocabularySize: 512, bosId: 1, eosId: 2, unkId: 0, addsBos: true, eosIds: [2] });
  });

  // Ids by tokenizers 0.23.2; the npm package alone gives others.
  it.each([
    ["smollm", "a\u0085 ½²ⅷ٣", [81, 141, 223, 216, 16_738, 19_133, 173, 223, 132, 164, 113]],
    ["smollm", " \u0004</s>", [22_577, 99, 46]],
  ] as const)("%s spells %j as the reference does", async (name, text, ids) => {
    expect((await load(name)).encode(text)).toEqual(ids);
  });

  it.each(Object.keys(folders) as (keyof typeof folders)[])(
    "%s streams what it decodes at once, and its offsets cover texts",
    async (name) => {
      const tokenizer = await load(name);
      const ids = fc.array(fc.nat(tokenizer.vocabularySize), { maxLength: 30 });
      fc.assert(fc.property(ids, (ids) => streamed(tokenizer, ids, true) === tokenizer.decode(ids)));
      const texts = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !text.includes("▁"));
      fc.assert(
        fc.property(texts, (text) => {
          const { ids, starts, ends } = tokenizer.encodeWithOffsets(text);
          expect(ids).toEqual(tokenizer.encode(text, { specialTokens: false }));
          expect(ends.at(-1) ?? 0).toBe(text.length);
          for (const [index, start] of starts.entries()) {
            expect(start).toBeGreaterThanOrEqual(starts[index - 1] ?? 0);
            expect(start).toBeLessThanOrEqual(ends[index - 1] ?? 0);
          }
        }),
      );
    },
  );
});
