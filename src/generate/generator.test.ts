import { readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { randomAdapter, tinyModel } from "../../test/tiny-model.ts";
import { loadTokenizer, type Tokenizer } from "../formats/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import type { GenerateOptions } from "./generate.ts";
import { createGenerator, type Generator } from "./generator.ts";
import { adaptedInference, baseInference, mergedInference } from "./inference.ts";

let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

/** The whole text, and why it ended. */
const textOf = async (
  generator: Generator,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): Promise<[string, string]> => {
  const pieces = generator.text(prompt, options);
  let text = "";
  for (let next = await pieces.next(); ; next = await pieces.next()) {
    if (next.done === true) return [text, next.value];
    text += next.value;
  }
};

it("a generator needs a head that predicts tokens", async () => {
  const folder = await tinyModel();
  const base = await openBase(folder, { classifier: { predicts: "classes", labels: ["ham", "spam"] } });
  const tokenizer = await loadTokenizer(folder);
  expect(() => createGenerator(backend, tokenizer, baseInference(base))).toThrow(
    "The head of this llama predicts classes, so it writes no text.",
  );
});

describe("a generator", () => {
  const positions = 64;
  const nines = (length: number): number[] => Array.from({ length }, () => 9);
  let base: Base;
  let tokenizer: Tokenizer;
  let generator: Generator;
  beforeAll(async () => {
    const folder = await tinyModel({ max_position_embeddings: positions });
    base = await openBase(folder);
    // A random model has no notion of an end.
    tokenizer = { ...(await loadTokenizer(folder)), eosIds: [] };
    generator = createGenerator(backend, tokenizer, baseInference(base));
  });
  afterAll(() => generator.close());

  const sampled = { temperature: 0.8, topK: 50, maxTokens: 12 };

  it("writes the same for the same seed, and something else for another", async () => {
    const texts = await Promise.all([1, 1, 2].map((seed) => textOf(generator, "Mia had a red", { ...sampled, seed })));
    expect(texts[1]).toEqual(texts[0]);
    expect(texts[2]).not.toEqual(texts[0]);
    expect(texts[0][1]).toBe("length");
  });

  it("writes several texts at once as it writes them alone", async () => {
    const prompts = ["Once upon a time", "Tom", "One day, a dog saw a boat and", "The sun was"];
    const options = (index: number): GenerateOptions => ({ ...sampled, seed: index, maxTokens: 8 + index });
    const alone: unknown[] = [];
    for (const [index, prompt] of prompts.entries()) alone.push(await textOf(generator, prompt, options(index)));
    expect(await Promise.all(prompts.map((prompt, index) => textOf(generator, prompt, options(index))))).toEqual(alone);
  });

  it("takes token ids for a text", async () => {
    const prompt = "Tom and Mia";
    expect(await textOf(generator, tokenizer.encode(prompt), sampled)).toEqual(await textOf(generator, prompt, sampled));
  });

  it.each([
    [60, 100, 4],
    [63, 100, 1],
    [60, 3, 3],
    [1, Infinity, 63],
  ])("goes on after %d tokens for at most %d, and ends where the positions do: %d", async (length, maxTokens, count) => {
    const before = backend.runs();
    const [, reason] = await textOf(generator, nines(length), { temperature: 0, maxTokens });
    expect(reason).toBe("length");
    expect(backend.runs() - before).toBe(count);
  });

  it.each([positions, positions + 9])("refuses a prompt of %d tokens", async (length) => {
    const error = await textOf(
      generator,
      Array.from({ length }, () => 9),
    ).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: "invalid-argument",
      message: `The prompt has ${length} tokens, and the model takes 64 with the answer. Shorten the prompt.`,
    });
  });

  it("refuses an empty prompt", async () => {
    await expect(textOf(generator, [])).rejects.toThrow("The prompt has no tokens.");
  });

  it("frees a sequence that is left in the middle", async () => {
    const before = backend.held().residents;
    for await (const piece of generator.text("Mia", { ...sampled, seed: 3 })) {
      expect(backend.held().residents).toBe(before + 2 * base.model.layers);
      expect(piece).not.toBe("");
      break;
    }
    expect(backend.held().residents).toBe(before);
  });

  it("leaves nothing behind when it is closed, fifty times over", async () => {
    const adapters = [{ ...(await randomAdapter(base, { modules_to_save: ["model.norm"] })), weight: 1 }];
    const before = backend.held();
    const uploads: number[] = [];
    for (let round = 0; round < 50; round++) {
      const made = backend.made().residents;
      const inference = await (round % 2 === 0 ? adaptedInference : mergedInference)(backend, base, adapters);
      const one = createGenerator(backend, tokenizer, inference);
      await textOf(one, "Mia", { temperature: 0, maxTokens: 2 });
      await one.close();
      uploads.push(backend.made().residents - made);
      expect(backend.held()).toEqual(before);
    }
    // Two factors for each of 14 modules or one merged weight, the norms, and keys and values of two layers.
    expect(new Set(uploads)).toEqual(new Set([28 + 1 + 4, 14 + 1 + 4]));
    await generator.close();
    expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  });
});

describe.skipIf(!hasShared)("a pretrained model", () => {
  const directory = sharedPath("models/stories260k");
  let tokenizer: Tokenizer;
  let generator: Generator;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(directory);
    generator = createGenerator(backend, tokenizer, baseInference(await openBase(directory)));
  });
  afterAll(() => generator.close());

  it("continues a known prompt with the known logits", async () => {
    const ids = tokenizer.encode("Once upon a time");
    expect(ids).toEqual([1, 403, 407, 261, 378]);
    const decoder = await generator.decoder(ids.length);
    const logits = await decoder.append(ids);
    expect(logits.indexOf(Math.max(...logits))).toBe(432);
    [-10.13658, -5.32946, -10.13809, -10.13686, -10.13721].forEach((value, id) => expect(Math.abs(logits[id] - value)).toBeLessThan(1e-4));
    await decoder.dispose();
  });

  it("tells the known story, taking the likeliest of each 200 tokens", async () => {
    const [text] = await textOf(generator, "", { temperature: 0, maxTokens: 200 });
    expect(text).toBe(readFileSync(sharedPath("models/stories260k/greedy-200.txt"), "utf8"));
  });
});
