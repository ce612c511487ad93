import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { largestDifference } from "../../test/model-logits.ts";
import { randomAdapter, tinyT5 } from "../../test/tiny-model.ts";
import { program } from "../graph/index.ts";
import type { WeightedAdapter } from "../lora/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { disposePrograms, ortBackend, type Programs } from "../runtime/index.ts";
import { targetStates } from "../train/losses/sequence-to-sequence.ts";
import { i32, random } from "../util/index.ts";
import { createDecoder } from "./create-decoder.ts";
import type { Decoder } from "./decoder.ts";
import { adaptedInference, baseInference, mergedInference, type Inference } from "./inference.ts";

const longest = 40;
const generator = random(7);
const source = Array.from({ length: 21 }, () => generator.integer(1536));
const target = Array.from({ length: longest }, () => generator.integer(1536));

let base: Base;
let backend: CountingBackend;
let inference: Inference;
let expected: readonly Float32Array[];
const programs: Programs = new Map();

/** Logits before each token of the target, from one pass over source and target. */
const logitsInOnePass = async ({ model, modules, feeds }: Inference, prompt: readonly number[]): Promise<Float32Array[]> => {
  const context = { model, modules: modules(), differentiable: false };
  const hidden = targetStates(context, { B: 1, S: prompt.length, U: longest });
  const executable = await backend.compile(program({ logits: model.head.logits(context.modules, hidden) }));
  const row = (values: readonly number[]) => i32(values, [1, values.length]);
  const ones = (length: number) => row(Array.from({ length }, () => 1));
  const { logits } = await executable.run({
    ...feeds,
    ids: row(target),
    segments: ones(longest),
    "source.ids": row(prompt),
    "source.segments": ones(prompt.length),
  });
  await executable.dispose();
  const { data } = logits as { data: Float32Array };
  return target.map((_, index) => data.slice(index * model.vocabularySize, (index + 1) * model.vocabularySize));
};

beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  base = await openBase(await tinyT5());
  backend = countingBackend(ortBackend({ threads: 1 }));
  inference = baseInference(base);
  expected = await logitsInOnePass(inference, source);
});
afterAll(() => backend.dispose());

/** The decoder's largest error over the target, token by token. */
const largestError = async (decoder: Decoder, wanted: readonly Float32Array[], prompt: readonly number[] = source): Promise<number> => {
  let worst = largestDifference(await decoder.append(prompt), wanted[0]);
  for (const [index, id] of target.slice(0, -1).entries())
    worst = Math.max(worst, largestDifference(await decoder.append([id]), wanted[index + 1]));
  return worst;
};

describe("a decoder with an encoder", () => {
  let decoder: Decoder;
  beforeEach(async () => {
    decoder = await createDecoder(backend, inference, programs, 1);
  });

  it("gives the logits of one pass over source and target, token by token and across growth", async () => {
    expect(await largestError(decoder, expected)).toBeLessThan(1e-4);
    expect(decoder.length).toBe(source.length + longest - 1);
    expect(decoder.continues).toBe(false);
    await decoder.dispose();
  });

  it("has logits that depend on the source", async () => {
    const other = await logitsInOnePass(inference, source.toReversed());
    expect(largestDifference(other[5], expected[5])).toBeGreaterThan(0.1);
    await decoder.dispose();
  });

  it("is the same with adapters, beside the weights or folded in", async () => {
    const adapter = await randomAdapter(base, { target_modules: ["q", "v", "wo"], task_type: "SEQ_2_SEQ_LM" });
    const adapters: WeightedAdapter[] = [{ ...adapter, weight: 1 }];
    const beside = await adaptedInference(backend, base, adapters);
    const folded = await mergedInference(backend, base, adapters);
    const wanted = await logitsInOnePass(beside, source);
    expect(largestDifference(wanted[3], expected[3])).toBeGreaterThan(0.1);
    for (const each of [beside, folded]) {
      const own: Programs = new Map();
      const adapted = await createDecoder(backend, each, own, longest);
      expect(await largestError(adapted, wanted)).toBeLessThan(1e-4);
      await adapted.dispose();
      await disposePrograms(own);
      await each.dispose();
    }
    await decoder.dispose();
  });

  it("goes back within what was written, or into the prompt, which is then read anew", async () => {
    await decoder.append(source);
    await decoder.append(target.slice(0, 6));
    decoder.rewind(source.length + 2);
    expect(largestDifference(await decoder.append(target.slice(2, 9)), expected[9])).toBeLessThan(1e-4);
    decoder.rewind(source.length);
    expect(largestDifference(await decoder.append(target.slice(0, 1)), expected[1])).toBeLessThan(1e-4);
    decoder.rewind(4);
    expect(decoder.length).toBe(4);
    expect(largestDifference(await decoder.append(source.slice(4)), expected[0])).toBeLessThan(1e-4);
    expect(() => decoder.rewind(source.length + 1)).toThrow(`The sequence has ${source.length} tokens and cannot be rewound to 22.`);
    decoder.rewind(0);
    const [other] = await logitsInOnePass(inference, source.slice(0, 3));
    expect(largestDifference(await decoder.append(source.slice(0, 3)), other)).toBeLessThan(1e-4);
    await decoder.dispose();
  });

  it("encodes once, keeps sequences apart that share programs, and leaves nothing behind", async () => {
    await decoder.dispose();
    await disposePrograms(programs);
    const [one, two] = [await createDecoder(backend, inference, programs, 16), await createDecoder(backend, inference, programs, 16)];
    const [other] = await logitsInOnePass(inference, source.toReversed());
    const [a, b] = await Promise.all([one.append(source), two.append(source.toReversed())]);
    expect(largestDifference(a, expected[0])).toBeLessThan(1e-4);
    expect(largestDifference(b, other)).toBeLessThan(1e-4);
    for (const [index, id] of target.slice(0, 4).entries())
      expect(largestDifference(await one.append([id]), expected[index + 1])).toBeLessThan(1e-4);
    expect([...programs.keys()].toSorted()).toEqual(["1×0×32", "1×16×32", "source 32"]);
    // Own and cross keys and values of two layers and two sequences.
    expect(backend.held()).toEqual({ residents: 16, programs: 3 });
    await one.dispose();
    await two.dispose();
    await disposePrograms(programs);
    expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  });

  it("refuses a prompt without tokens or with others' tokens, and takes one afterwards", async () => {
    await expect(decoder.append([])).rejects.toMatchObject({ code: "invalid-argument", message: /There are no tokens to append/ });
    await expect(decoder.append([1536])).rejects.toMatchObject({ code: "invalid-argument" });
    expect(largestDifference(await decoder.append(source), expected[0])).toBeLessThan(1e-4);
    await decoder.dispose();
  });
});
