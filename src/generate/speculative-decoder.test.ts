/** @file Guessing ahead: what is guessed, that texts stay what they are token by token, and how many runs it saves. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { largestDifference } from "../../test/model-logits.ts";
import { randomAdapter, tinyModel, tinyT5 } from "../../test/tiny-model.ts";
import { loadTokenizer, type Tokenizer } from "../formats/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import type { Decoder } from "./decoder.ts";
import { generateTokens, type GenerateOptions } from "./generate.ts";
import { createGenerator, type Generator } from "./generator.ts";
import { adaptedInference, baseInference } from "./inference.ts";
import { ngramDrafts } from "./speculative-decoder.ts";

describe("drafts", () => {
  it.each<[string, number[], number, number[]]>([
    ["nothing that has not come before", [1, 2, 3, 4], 3, []],
    ["nothing after one token alone", [1, 2, 3, 1], 3, []],
    ["what followed two tokens", [1, 2, 3, 4, 9, 1, 2], 2, [3, 4]],
    ["what followed three tokens rather than two", [7, 1, 2, 3, 8, 1, 2, 5, 7, 1, 2], 1, [3]],
    ["what followed the latest time", [1, 2, 3, 1, 2, 4, 1, 2], 1, [4]],
    ["a pattern that goes on", [5, 6, 5, 6], 5, [5, 6, 5, 6, 5]],
    ["a token that repeats", [5, 5, 5], 3, [5, 5, 5]],
  ])("are %s", (_, ids, count, draft) => expect(ngramDrafts(ids).next(count)).toEqual(draft));
});

describe("a speculative decoder", () => {
  let backend: CountingBackend;
  let base: Base;
  let tokenizer: Tokenizer;
  let generators: Readonly<Record<"plain" | "guessing" | "adapted" | "adaptedGuessing", Generator>>;
  beforeAll(async () => {
    process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
    backend = countingBackend(ortBackend({ threads: 1 }));
    const folder = await tinyModel({ vocab_size: 97 });
    base = await openBase(folder);
    tokenizer = await loadTokenizer(await tinyModel());
    const adapters = [{ ...(await randomAdapter(base, {})), weight: 1 }];
    const adapted = (): ReturnType<typeof adaptedInference> => adaptedInference(backend, base, adapters);
    generators = {
      plain: createGenerator(backend, tokenizer, baseInference(base)),
      guessing: createGenerator(backend, tokenizer, baseInference(base), { speculate: 4 }),
      adapted: createGenerator(backend, tokenizer, await adapted()),
      adaptedGuessing: createGenerator(backend, tokenizer, await adapted(), { speculate: 3 }),
    };
  });
  afterAll(async () => {
    for (const generator of Object.values(generators)) await generator.close();
    expect(backend.held()).toEqual({ residents: 0, programs: 0 });
    await backend.dispose();
  });

  const using = async <T>(generator: Generator, expected: number, work: (decoder: Decoder) => Promise<T>): Promise<T> => {
    const decoder = await generator.decoder(expected);
    try {
      return await work(decoder);
    } finally {
      await decoder.dispose();
    }
  };
  const written = (generator: Generator, prompt: readonly number[], options: GenerateOptions): Promise<number[]> =>
    using(generator, prompt.length + 24, async (decoder) => {
      const ids: number[] = [];
      for await (const id of generateTokens(decoder, prompt, [], { maxTokens: 24, ...options })) ids.push(id);
      return ids;
    });

  // Few different tokens, so that texts repeat themselves.
  const prompts = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 30 });

  it.each([
    ["plain", "guessing"],
    ["adapted", "adaptedGuessing"],
  ] as const)("writes what a plain one writes, greedily and by draws: %s", async (plain, guessing) => {
    await fc.assert(
      fc.asyncProperty(prompts, fc.constantFrom(0, 0.3), fc.integer({ min: 0, max: 99 }), async (prompt, temperature, seed) => {
        const options = { temperature, seed, topK: temperature === 0 ? 0 : 3 };
        expect(await written(generators[guessing], prompt, options)).toEqual(await written(generators[plain], prompt, options));
      }),
      { numRuns: 15 },
    );
  });

  it("reads a text that repeats itself in few runs, with the logits of one run for each token", async () => {
    const pattern = Array.from({ length: 48 }, (_, index) => [11, 30, 7, 52, 96, 3][index % 6]);
    const read = (generator: Generator): Promise<{ logits: Float32Array[]; runs: number }> =>
      using(generator, pattern.length, async (decoder) => {
        const before = backend.runs();
        const logits: Float32Array[] = [];
        for (const id of pattern) logits.push(await decoder.append([id]));
        expect(decoder.length).toBe(pattern.length);
        return { logits, runs: backend.runs() - before };
      });
    const [plain, guessing] = [await read(generators.plain), await read(generators.guessing)];
    expect(plain.runs).toBe(48);
    // Eight tokens until two have come before, then five tokens a run.
    expect(guessing.runs).toBe(7 + 9);
    for (const [index, logits] of plain.logits.entries()) expect(largestDifference(guessing.logits[index], logits)).toBeLessThan(1e-5);
  });

  it("goes back into what it has guessed, and on from there", async () => {
    const start = [1, 2, 3, 1, 2, 3, 1];
    const [expected, found] = [generators.plain, generators.guessing].map((generator) =>
      using(generator, 32, async (decoder) => {
        await decoder.append(start);
        const logits = [await decoder.append([2]), await decoder.append([3])];
        decoder.rewind(5);
        logits.push(await decoder.append([9]), await decoder.append([1, 2]), await decoder.append([3]));
        return logits;
      }),
    );
    for (const [index, logits] of (await found).entries()) expect(largestDifference(logits, (await expected)[index])).toBeLessThan(1e-5);
  });

  it("guesses nothing beyond the last position", async () => {
    const { maxPositions } = base.model;
    const ids = Array.from({ length: maxPositions }, (_, index) => index % 3);
    await using(generators.guessing, maxPositions, async (decoder) => {
      await decoder.append(ids.slice(0, -6));
      for (const id of ids.slice(-6)) await decoder.append([id]);
      expect(decoder.length).toBe(maxPositions);
    });
  });

  it("is refused for a model with an encoder, and for numbers that are none", async () => {
    const folder = await tinyT5();
    const [t5, words] = [await openBase(folder), await loadTokenizer(folder)];
    expect(() => createGenerator(backend, words, baseInference(t5), { speculate: 2 })).toThrow(
      /guessed ahead for this t5, which has an encoder/,
    );
    expect(() => createGenerator(backend, tokenizer, baseInference(base), { speculate: 1.5 })).toThrow("The value 1.5 is not allowed.");
  });
});
