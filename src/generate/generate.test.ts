import { describe, expect, it } from "vitest";
import { byteLevelFiles, llamaFiles } from "../../test/tiny-tokenizer.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import type { Decoder } from "./decoder.ts";
import { defaultMaxTokens, generateText, generateTokens, type FinishReason, type GenerateOptions } from "./generate.ts";

const vocabularySize = 400;

/** A decoder that wants the tokens of a script one after another, whatever it is given. */
const scripted = (script: readonly number[], continues = true) => {
  const appended: (readonly number[])[] = [];
  const decoder: Decoder = {
    get length() {
      return appended.flat().length;
    },
    continues,
    append: async (ids) => {
      const logits = new Float32Array(vocabularySize);
      logits[script[appended.length] ?? 0] = 10;
      appended.push(ids);
      return logits;
    },
    rewind: () => {},
    dispose: () => Promise.resolve(),
  };
  return { decoder, appended };
};

/** What a generation yields, and why it ended. */
const collect = async <T>(generation: AsyncGenerator<T, FinishReason>): Promise<{ pieces: T[]; reason: FinishReason }> => {
  const pieces: T[] = [];
  for (let next = await generation.next(); ; next = await generation.next()) {
    if (next.done === true) return { pieces, reason: next.value };
    pieces.push(next.value);
  }
};

const greedy: GenerateOptions = { temperature: 0 };

describe("tokens", () => {
  const run = (script: readonly number[], options: GenerateOptions = {}, prompt: readonly number[] = [1, 2]) => {
    const { decoder, appended } = scripted(script);
    return collect(generateTokens(decoder, prompt, [7, 8], { ...greedy, ...options })).then((result) => ({ ...result, appended }));
  };

  it("come one by one, each from the logits after those before it", async () => {
    const { pieces, reason, appended } = await run([5, 6, 9, 3], { maxTokens: 3 });
    expect(pieces).toEqual([5, 6, 9]);
    expect(reason).toBe("length");
    // The last token is not appended: nobody asked for the logits after it.
    expect(appended).toEqual([[1, 2], [5], [6]]);
  });

  it.each([7, 8])("end before %d, which is not yielded", async (end) => {
    expect(await run([5, end, 6])).toMatchObject({ pieces: [5], reason: "end" });
  });

  it.each([
    [0, 0],
    [1, 1],
    [undefined, defaultMaxTokens],
  ])("number at most %s", async (maxTokens, count) => {
    const { pieces, reason } = await run([], maxTokens === undefined ? {} : { maxTokens });
    expect(pieces).toHaveLength(count);
    expect(reason).toBe("length");
  });

  it.each([-1, Number.NaN])("cannot number %d", async (maxTokens) => {
    await expect(run([], { maxTokens })).rejects.toThrow(`maxTokens: The value ${maxTokens} is not allowed. Give a number from 0 up.`);
  });

  it("penalise what the prompt and the text have had", async () => {
    const { decoder } = scripted([]);
    const flat: Decoder = { ...decoder, append: async () => Float32Array.of(1, 1.1, 1.2, 1.3) };
    const { pieces } = await collect(generateTokens(flat, [3], [], { ...greedy, repetitionPenalty: 2, maxTokens: 4 }));
    expect(pieces).toEqual([2, 1, 0, 3]);
    // A prompt that another part of the model reads is no part of the text.
    const anew = await collect(generateTokens({ ...flat, continues: false }, [3], [], { ...greedy, repetitionPenalty: 2, maxTokens: 4 }));
    expect(anew.pieces).toEqual([3, 2, 1, 0]);
  });

  it("stop at a signal: before the prompt is read, or between two tokens", async () => {
    expect(await run([5], { signal: AbortSignal.abort() })).toEqual({ pieces: [], reason: "aborted", appended: [] });
    const controller = new AbortController();
    const { decoder, appended } = scripted([5, 6, 9]);
    const tokens = generateTokens(decoder, [1], [], { ...greedy, signal: controller.signal });
    expect(await tokens.next()).toEqual({ done: false, value: 5 });
    expect(await tokens.next()).toEqual({ done: false, value: 6 });
    controller.abort();
    expect(await tokens.next()).toEqual({ done: true, value: "aborted" });
    expect(appended).toHaveLength(3);
  });
});

describe("text", () => {
  const byteLevel = createTokenizer(byteLevelFiles());
  const spaced = createTokenizer(llamaFiles());

  /** Lets a tokenizer's own ids be generated. */
  const say = (tokenizer: typeof byteLevel, ids: readonly number[], options: GenerateOptions = {}, prompt = tokenizer.encode("So")) =>
    collect(generateText(scripted(ids).decoder, tokenizer, prompt, { ...greedy, maxTokens: ids.length, ...options }));
  const plainIds = (tokenizer: typeof byteLevel, text: string): number[] => tokenizer.encode(text, { specialTokens: false });

  it("is what the tokens say, without half characters", async () => {
    const text = "Don’t — ½ 🦊!";
    const { pieces, reason } = await say(byteLevel, plainIds(byteLevel, text));
    expect(pieces.join("")).toBe(text);
    expect(pieces.every((piece) => piece !== "" && !piece.includes("\uFFFD"))).toBe(true);
    expect(reason).toBe("length");
  });

  it("shows a character that was cut short as decoding does", async () => {
    const ids = plainIds(byteLevel, "a🦊").slice(0, -1);
    const { pieces } = await say(byteLevel, ids);
    expect(pieces.join("")).toBe(byteLevel.decode(ids));
    expect(pieces.at(-1)).toBe("\uFFFD");
  });

  it("ends at the end token", async () => {
    const ids = [...plainIds(byteLevel, "the end"), byteLevel.eosId!, ...plainIds(byteLevel, "!")];
    expect(await say(byteLevel, ids)).toEqual({ pieces: expect.anything() as unknown, reason: "end" });
    expect((await say(byteLevel, ids)).pieces.join("")).toBe("the end");
  });

  it("keeps the space that its first word begins with", async () => {
    const ids = plainIds(spaced, "the fox");
    expect((await say(spaced, ids)).pieces.join("")).toBe(" the fox");
    const { pieces } = await collect(
      generateText(scripted(ids, false).decoder, spaced, spaced.encode("So"), { ...greedy, maxTokens: ids.length }),
    );
    // A text that begins anew has none.
    expect(pieces.join("")).toBe("the fox");
  });

  it.each<[string, readonly string[], string, FinishReason]>([
    ["Yes.\nUser: no", ["\nUser:"], "Yes.", "stop"],
    ["Yes.\nUse it", ["\nUser:"], "Yes.\nUse it", "length"],
    ["one two three", ["three", "two"], "one ", "stop"],
    ["User", ["User:"], "User", "length"],
  ])("of %j with stops %j is %j", async (whole, stop, text, reason) => {
    const result = await say(byteLevel, plainIds(byteLevel, whole), { stop });
    expect(result.pieces.join("")).toBe(text);
    expect(result.reason).toBe(reason);
  });

  it("gives what was held back when a signal stops it", async () => {
    const controller = new AbortController();
    const { decoder } = scripted(plainIds(byteLevel, "a\nUs and"));
    let left = 3;
    const append: Decoder["append"] = (ids) => {
      if (--left === 0) controller.abort();
      return decoder.append(ids);
    };
    const options = { ...greedy, stop: ["\nUser"], signal: controller.signal };
    const result = await collect(generateText({ ...decoder, append }, byteLevel, [65], options));
    expect(result).toEqual({ pieces: ["a", "\n"], reason: "aborted" });
  });

  it("needs a prompt", async () => {
    const error = await say(byteLevel, [], {}, []).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "invalid-argument",
      message: "The prompt has no tokens. Give some text, or use a tokenizer with a BOS token.",
    });
  });
});
