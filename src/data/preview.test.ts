import { describe, expect, it } from "vitest";
import { byteLevelFiles } from "../../test/tiny-tokenizer.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import { previewExample, visible } from "./preview.ts";

describe("visible", () => {
  it.each([
    ["a b\n", "a b↵"],
    ["\t\r\u0000\u001b\u007f", "→␍␀␛␡"],
    ["\u0085\u200b\u202e\u2028\u00a0\ufeff", "<U+0085><U+200B><U+202E><U+2028><U+00A0><U+FEFF>"],
    ["é😀½", "é😀½"],
  ])("shows %j as %j", (text, shown) => {
    expect(visible(text)).toBe(shown);
  });
});

describe("previewExample", () => {
  it("gives each token's text with its mark", () => {
    const tokenizer = createTokenizer(byteLevelFiles());
    const ids = Int32Array.from(tokenizer.encode("the\né<|end|>"));
    const supervised = Uint8Array.of(0, 0, 1, 1, 1);
    expect(previewExample({ ids, supervised, where: "" }, tokenizer)).toEqual([
      { id: 257, text: "the", supervised: false },
      { id: ids[1], text: "↵", supervised: false },
      { id: ids[2], text: "<0xC3>", supervised: true },
      { id: ids[3], text: "<0xA9>", supervised: true },
      { id: 262, text: "<|end|>", supervised: true },
    ]);
  });
});
