import { describe, expect, it } from "vitest";
import { byteLevelFiles, wordPieceFiles } from "../../test/tiny-tokenizer.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import { encodeDocument, type Texts } from "./document.ts";

const bert = createTokenizer(wordPieceFiles());

describe("texts as a classifier reads them", () => {
  // By tokenizers 0.23.2, truncation "longest_first".
  it.each<[Texts, number, number[], number]>([
    [["The fox RUNS!"], 99, [2, 4, 5, 6, 7, 11, 3], 7],
    [["Café xyz"], 99, [2, 12, 1, 3], 4],
    [["the fox", "win now!"], 99, [2, 4, 5, 3, 9, 10, 11, 3], 4],
    [["the fox runs now!"], 5, [2, 4, 5, 6, 3], 5],
    [["the fox runs now!", "win"], 8, [2, 4, 5, 6, 7, 3, 9, 3], 6],
    [["the fox runs now!", "win now"], 9, [2, 4, 5, 6, 7, 3, 9, 10, 3], 6],
    [["the fox runs now!", "the fox running now!"], 8, [2, 4, 5, 3, 4, 5, 6, 3], 4],
    [["win", "the fox runs now!"], 7, [2, 9, 3, 4, 5, 6, 3], 3],
  ])("%j within %i tokens are %j", (texts, maxLength, ids, first) => {
    const document = encodeDocument(bert, texts, maxLength);
    expect([...document.ids]).toEqual(ids);
    expect([...document.types]).toEqual(ids.map((_, index) => Number(index >= first)));
    expect(document.cutTokens).toBe(encodeDocument(bert, texts, 99).ids.length - ids.length);
  });

  it("are refused where special tokens leave no room", () => {
    expect(() => encodeDocument(bert, ["the fox"], 2)).toThrow("A text cannot be cut to 2 tokens.");
  });

  const processors = [
    { about: "no post-processor", post_processor: null, ids: [116, 104, 1, 2], types: [0, 0, 1, 1] },
    { about: "byte-level offsets alone", post_processor: { type: "ByteLevel" }, ids: [116, 104, 1, 2], types: [0, 0, 1, 1] },
    {
      about: "RoBERTa's",
      post_processor: { type: "RobertaProcessing", cls: ["<|im_start|>", 1], sep: ["<|im_end|>", 2], trim_offsets: true },
      ids: ["s", 116, 104, "e", "e", 1, 2, "e"],
      types: [0, 0, 0, 0, 0, 0, 0, 0],
    },
  ];
  it.each(processors)("of two keep the second one with $about", ({ post_processor, ids, types }) => {
    const tokenizer = createTokenizer(byteLevelFiles({ json: { post_processor } }));
    const plain = (text: string): number[] => tokenizer.encode(text, { specialTokens: false });
    const named: Record<string, number> = { s: plain("<|im_start|>")[0], e: plain("<|im_end|>")[0] };
    const [first, second] = [plain("xy"), plain("ab")];
    const parts = new Map([
      [116, first[0]],
      [104, first[1]],
      [1, second[0]],
      [2, second[1]],
    ] as const);
    const pair = tokenizer.encodePair("xy", "ab");
    expect(pair).toEqual({ ids: ids.map((id) => (typeof id === "string" ? named[id] : parts.get(id as 1)!)), types });
    expect(tokenizer.encodePair("xy").ids).toEqual(tokenizer.encode("xy"));
  });
});
