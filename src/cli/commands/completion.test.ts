import { beforeAll, describe, expect, it } from "vitest";
import { createTokenizer, type Tokenizer } from "../../formats/tokenizer.ts";
import type { Decoder } from "../../generate/index.ts";
import { byteLevelFiles } from "../../../test/tiny-tokenizer.ts";
import { complete } from "./completion.ts";

let tokenizer: Tokenizer;
beforeAll(() => {
  tokenizer = createTokenizer(byteLevelFiles());
});

/** A decoder that wants to write a text, then the end token. */
const writing = (text: string): Decoder => {
  const script = [...tokenizer.encode(text), tokenizer.eosId!];
  let drawn = 0;
  return {
    length: 0,
    continues: true,
    append: () => {
      const logits = new Float32Array(tokenizer.vocabularySize);
      logits[script[drawn++]] = 1;
      return Promise.resolve(logits);
    },
    rewind: () => undefined,
    dispose: () => Promise.resolve(),
  };
};

const prompt = [0, 1, 2];
const greedy = { temperature: 0 };

describe("complete", () => {
  it.each<[string, { maxTokens?: number; stop?: string[] }, number, object]>([
    ["the end token", {}, 100, { text: "abcdef", tokens: 6, finishReason: "end", isFull: false }],
    ["the number of tokens", { maxTokens: 4 }, 100, { text: "abcd", tokens: 4, finishReason: "length", isFull: false }],
    ["a stop text", { stop: ["d"] }, 100, { text: "abc", tokens: 4, finishReason: "stop", isFull: false }],
    ["the model's positions", { maxTokens: 5 }, 5, { text: "ab", tokens: 2, finishReason: "length", isFull: true }],
    ["both at once", { maxTokens: 2 }, 5, { text: "ab", tokens: 2, finishReason: "length", isFull: false }],
  ])("is ended by %s", async (_, options, maxPositions, expected) => {
    const pieces: string[] = [];
    const done = await complete({ decoder: writing("abcdef"), tokenizer, maxPositions }, prompt, { ...greedy, ...options }, (piece) =>
      pieces.push(piece),
    );
    expect(done).toMatchObject({ ...expected, promptTokens: 3 });
    expect(pieces.join("")).toBe(done.text);
    expect(done.firstTokenSeconds).toBeLessThanOrEqual(done.seconds);
    expect(done.tokensPerSecond).toBeGreaterThan(0);
  });

  it("is ended by a signal, with what has come so far", async () => {
    const controller = new AbortController();
    const speaker = { decoder: writing("abcdef"), tokenizer, maxPositions: 100 };
    const done = await complete(speaker, prompt, { ...greedy, signal: controller.signal }, (piece) => {
      if (piece === "c") controller.abort();
    });
    expect(done).toMatchObject({ text: "abc", tokens: 3, finishReason: "aborted" });
  });

  it("draws nothing under a signal that was aborted before", async () => {
    const speaker = { decoder: writing("a"), tokenizer, maxPositions: 100 };
    const done = await complete(speaker, prompt, { ...greedy, signal: AbortSignal.abort() }, () => undefined);
    expect(done).toMatchObject({ text: "", tokens: 0, finishReason: "aborted", tokensPerSecond: null });
    expect(done.firstTokenSeconds).toBe(done.seconds);
  });

  it("names no speed for one token", async () => {
    const done = await complete({ decoder: writing("ab"), tokenizer, maxPositions: 4 }, prompt, greedy, () => undefined);
    expect(done).toMatchObject({ text: "a", tokens: 1, tokensPerSecond: null });
  });

  it("refuses a prompt that leaves no room", async () => {
    const refused = complete({ decoder: writing(""), tokenizer, maxPositions: 3 }, prompt, {}, () => undefined);
    await expect(refused).rejects.toThrow("The prompt has 3 tokens, and the model takes 3 with the answer. Shorten the prompt.");
  });
});
