import { describe, expect, it } from "vitest";
import { byteLevelFiles, llamaFiles } from "../../test/tiny-tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../formats/tokenizer.ts";
import type { LossMode } from "./formats/parsed.ts";
import { maskSegments, maskText, type Masked } from "./mask.ts";

const byteLevel = createTokenizer(byteLevelFiles());
const llama = createTokenizer(llamaFiles());

/** Tokens with supervised ones in brackets. */
const marked = (tokenizer: Tokenizer, { ids, supervised }: Masked): string =>
  Array.from(ids, (id, position) => (supervised[position] === 1 ? `[${tokenizer.piece(id)}]` : tokenizer.piece(id))).join(" ");

const answer = (tokenizer: Tokenizer, prompt: string, completion: string, loss: LossMode = "completion"): string =>
  marked(
    tokenizer,
    maskSegments(
      tokenizer,
      [
        { text: prompt, supervised: false },
        { text: completion, supervised: true },
      ],
      loss,
    ),
  );

describe("maskSegments", () => {
  it("supervises the completion and the end token", () => {
    expect(answer(byteLevel, "a:", " the")).toBe("a : [Ġthe] [<|end|>]");
    expect(answer(llama, "a:", " the")).toBe("<s> ▁ a : [▁the] [</s>]");
  });

  it("supervises everything but the first token with the loss over all", () => {
    expect(answer(byteLevel, "a:", " the", "all")).toBe("a [:] [Ġthe] [<|end|>]");
    expect(answer(llama, "a:", " the", "all")).toBe("<s> [▁] [a] [:] [▁the] [</s>]");
  });

  it("never supervises the first token, which nothing predicts", () => {
    expect(answer(byteLevel, "", "the")).toBe("the [<|end|>]");
    expect(answer(llama, "", "the")).toBe("<s> [▁the] [</s>]");
  });

  it("doubles neither BOS nor the end token", () => {
    expect(answer(llama, "<s>a", "b</s>")).toBe("<s> ▁ a [b] [</s>]");
    expect(answer(byteLevel, "a", "b<|end|>")).toBe("a [b] [<|end|>]");
  });

  it("supervises a token that reaches over the boundary, and says so", () => {
    const segments = [
      { text: "a: ", supervised: false },
      { text: "the", supervised: true },
    ];
    const masked = maskSegments(byteLevel, segments, "completion");
    expect(marked(byteLevel, masked)).toBe("a : [Ġthe] [<|end|>]");
    expect(masked.straddles).toBe(true);
    expect(
      maskSegments(
        byteLevel,
        [
          { text: "a:", supervised: false },
          { text: " the", supervised: true },
        ],
        "completion",
      ).straddles,
    ).toBe(false);
  });

  it("keeps every byte of a character on its side of the boundary", () => {
    expect(answer(byteLevel, "é", "è")).toBe("Ã © [Ã] [¨] [<|end|>]");
    expect(answer(llama, "é", "è")).toBe("<s> ▁ <0xC3> <0xA9> [<0xC3>] [<0xA8>] [</s>]");
  });

  it("refuses a tokenizer without an end token", () => {
    const tokenizer = createTokenizer(byteLevelFiles({ specialTokens: {} }));
    expect(() => answer(tokenizer, "a", "b")).toThrow("The tokenizer names no end token");
  });
});

describe("maskText", () => {
  it("supervises the ranges only and adds no end token", () => {
    const text = "<|im_start|>a\nthe<|im_end|>\nb";
    expect(marked(byteLevel, maskText(byteLevel, text, [[14, 27]], "completion"))).toBe("<|im_start|> a Ċ [the] [<|im_end|>] Ċ b");
  });

  it("supervises the space that a tokenizer adds in front of a range", () => {
    const text = "</s>a";
    expect(marked(llama, maskText(llama, text, [[4, 5]], "completion"))).toBe("<s> </s> [▁] [a]");
    expect(marked(llama, maskText(llama, "", [], "completion"))).toBe("<s>");
  });
});
