import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Decoder } from "../../generate/index.ts";
import { promptCache } from "./prompt-cache.ts";

/** A decoder whose logits are the tokens it holds, and which counts what it computes. */
const fakeDecoder = (continues = true) => {
  const held: number[] = [];
  const computed: number[][] = [];
  const decoder: Decoder = {
    get length() {
      return held.length;
    },
    continues,
    append: (ids) => {
      computed.push([...ids]);
      held.push(...ids);
      return Promise.resolve(Float32Array.from(held));
    },
    rewind: (length) => {
      expect(length).toBeLessThanOrEqual(held.length);
      held.length = length;
    },
    dispose: () => Promise.resolve(),
  };
  return { decoder, computed };
};

/** Runs turns of a prompt and some answers after it; gives the logits after each append, and what was computed. */
const converse = async (turns: readonly { prompt: number[]; answer: number[] }[], continues = true) => {
  const { decoder, computed } = fakeDecoder(continues);
  const cache = promptCache(decoder);
  const seen: number[][] = [];
  for (const { prompt, answer } of turns) {
    const turn = cache.begin();
    expect(turn.length).toBe(0);
    seen.push([...(await turn.append(prompt))]);
    for (const id of answer) seen.push([...(await turn.append([id]))]);
    expect(turn.length).toBe(prompt.length + answer.length);
  }
  return { seen, computed };
};

describe("promptCache", () => {
  it("computes only what is new", async () => {
    const { computed } = await converse([
      { prompt: [1, 2, 3], answer: [4, 5] },
      { prompt: [1, 2, 3, 4, 5, 6, 7], answer: [8] }, // goes on
      { prompt: [1, 2, 9], answer: [] }, // turns off at 9
      { prompt: [1, 2, 9], answer: [] }, // the same again: the last token alone
      { prompt: [7], answer: [] },
    ]);
    expect(computed).toEqual([[1, 2, 3], [4], [5], [6, 7], [8], [9], [9], [7]]);
  });

  it("gives whole prompts to a decoder whose answers are not their continuation", async () => {
    const turns = [
      { prompt: [1, 2], answer: [3] },
      { prompt: [1, 2, 3, 4], answer: [5] },
    ];
    expect((await converse(turns, false)).computed).toEqual([[1, 2], [3], [1, 2, 3, 4], [5]]);
  });

  it("gives what a new decoder would give", async () => {
    const ids = fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 1, maxLength: 6 });
    const turns = fc.array(fc.record({ prompt: ids, answer: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 3 }) }), {
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(turns, async (given) => {
        const expected = given.flatMap(({ prompt, answer }) =>
          Array.from({ length: answer.length + 1 }, (_, count) => [...prompt, ...answer.slice(0, count)]),
        );
        expect((await converse(given)).seen).toEqual(expected);
      }),
    );
  });
});
