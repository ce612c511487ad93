import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { largestDifference } from "../../test/model-logits.ts";
import { program } from "../graph/index.ts";
import { frozenModules, openBase, type Base } from "../models/index.ts";
import { disposePrograms, ortBackend, type Programs } from "../runtime/index.ts";
import { hiddenStates, tokenInputs } from "../train/forward.ts";
import { i32, random } from "../util/index.ts";
import { cachedDecoder, type Decoder } from "./decoder.ts";
import { baseInference } from "./inference.ts";
import { bucketOf, placesOf } from "./key-value-cache.ts";

const golden = resolve(import.meta.dirname, "../../test/golden/llama.all-linear");
const longest = 72;

let base: Base;
let backend: CountingBackend;
let ids: readonly number[];
/** Logits after each token, from one pass over all of them. */
let expected: readonly Float32Array[];
const programs: Programs = new Map();

const start = (): Promise<Decoder> => cachedDecoder(backend, baseInference(base), programs, 1);

beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  base = await openBase(join(golden, "model"));
  backend = countingBackend(ortBackend({ threads: 1 }));
  const { model } = base;
  const generator = random(7);
  ids = Array.from({ length: longest }, () => generator.integer(model.vocabularySize));
  const modules = frozenModules(base);
  const hidden = hiddenStates({ model, differentiable: false }, modules, tokenInputs({ B: 1, T: longest }));
  const executable = await backend.compile(program({ logits: model.head.logits(modules, hidden) }));
  const shape = [1, longest];
  const { logits } = await executable.run({
    ids: i32(ids, shape),
    positions: i32([...ids.keys()], shape),
    segments: i32(new Int32Array(longest).fill(1), shape),
  });
  await executable.dispose();
  const { data } = logits as { data: Float32Array };
  expected = ids.map((_, index) => data.slice(index * model.vocabularySize, (index + 1) * model.vocabularySize));
});
afterAll(() => backend.dispose());

it.each([
  [0, 16],
  [1, 16],
  [16, 16],
  [17, 32],
  [33, 64],
  [64, 64],
])("sizes: a chunk of %d tokens takes %d", (count, size) => expect(bucketOf(count)).toBe(size));

it.each([
  [1, 16],
  [17, 32],
  [33, 48],
  [65, 80],
  [513, 640],
  [640, 640],
  [1025, 1280],
])("sizes: a cache of %d tokens takes %d places", (count, size) => expect(placesOf(count)).toBe(size));

type Step = { readonly kind: "append" | "stray"; readonly count: number } | { readonly kind: "rewind"; readonly share: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constantFrom("append" as const, "stray" as const), count: fc.integer({ min: 1, max: 24 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("rewind" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  ),
  { minLength: 1, maxLength: 12 },
);

describe("a decoder", () => {
  it("gives the logits of a pass over the whole text, one token at a time and across growth", async () => {
    const decoder = await start();
    for (const [index, id] of ids.entries()) expect(largestDifference(await decoder.append([id]), expected[index])).toBeLessThan(1e-5);
    expect(decoder.length).toBe(longest);
    await decoder.dispose();
  });

  it("gives them in chunks of any size, after tokens that were taken back, and after rewinding", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        const decoder = await start();
        for (const step of plan) {
          const at = decoder.length;
          if (step.kind === "rewind") decoder.rewind(Math.floor(step.share * at));
          else if (step.kind === "append") {
            const end = Math.min(at + step.count, longest);
            if (end === at) continue;
            const logits = await decoder.append(ids.slice(at, end));
            expect(largestDifference(logits, expected[end - 1])).toBeLessThan(1e-5);
          } else {
            await decoder.append(ids.slice(0, step.count).toReversed());
            decoder.rewind(at);
          }
        }
        await decoder.dispose();
      }),
      { numRuns: 25, seed: 3 },
    );
  });

  it("keeps sequences apart that share programs", async () => {
    const [one, other] = [await start(), await start()];
    for (let index = 0; index < 20; index += 2) {
      const [a, b] = await Promise.all([one.append(ids.slice(index, index + 2)), other.append([ids[index / 2]])]);
      expect(largestDifference(a, expected[index + 1])).toBeLessThan(1e-5);
      expect(largestDifference(b, expected[index / 2])).toBeLessThan(1e-5);
    }
    await one.dispose();
    await other.dispose();
  });

  it("compiles few programs, and leaves nothing behind when it is disposed", async () => {
    const sizes = [...programs.keys()];
    // Chunks of 1, 16 and 32 tokens over caches of 0 (nothing cached), 16, 32, 48, 64, 80, 96, 112 and 128 places.
    expect(sizes.length).toBeLessThanOrEqual(27);
    expect(sizes.filter((size) => size.startsWith("1×")).length).toBeGreaterThan(2);
    expect(backend.held()).toEqual({ residents: 0, programs: sizes.length });
    const decoder = await start();
    expect(backend.held().residents).toBe(2 * base.model.layers);
    await decoder.append(ids.slice(0, 40));
    expect(backend.held().residents).toBe(2 * base.model.layers);
    await decoder.dispose();
    await disposePrograms(programs);
    expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  });

  it("refuses tokens beyond the model's positions, and stays as it was", async () => {
    const decoder = await start();
    await decoder.append(Array.from({ length: 250 }, (_, index) => ids[index % longest]));
    await expect(decoder.append(ids.slice(0, 7))).rejects.toMatchObject({
      code: "invalid-argument",
      message: "257 tokens do not fit into the model's 256 positions. Shorten the prompt or ask for fewer tokens.",
    });
    expect(decoder.length).toBe(250);
    expect((await decoder.append(ids.slice(0, 6))).every(Number.isFinite)).toBe(true);
    await decoder.dispose();
  });

  it.each<[string, number[], string]>([
    ["nothing", [], "There are no tokens to append."],
    ["an id above the vocabulary", [3, 199], "The token 199 is outside the model's vocabulary of 199."],
    ["a negative id", [-1], "The token -1 is outside"],
    ["a fraction", [0.5], "The token 0.5 is outside"],
    ["what is no number", [Number.NaN], "The token NaN is outside"],
  ])("refuses %s", async (_, wrong, message) => {
    const decoder = await start();
    const error = await decoder.append(wrong).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "invalid-argument", message: expect.stringContaining(message) as string });
    await decoder.dispose();
  });

  it.each([4, -1, 1.5, Number.NaN])("of 3 tokens cannot be rewound to %d", async (to) => {
    const decoder = await start();
    await decoder.append([1, 2, 3]);
    expect(() => decoder.rewind(to)).toThrow(`The sequence has 3 tokens and cannot be rewound to ${to}.`);
    expect(decoder.length).toBe(3);
    await decoder.dispose();
  });
});
