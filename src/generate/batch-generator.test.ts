import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { randomAdapter, tinyModel, tinyT5 } from "../../test/tiny-model.ts";
import { loadTokenizer, type Tokenizer } from "../formats/index.ts";
import type { LoraConfig, StoredAdapter } from "../lora/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { adapterCache, type AdapterCache, type AdapterSource } from "./adapter-cache.ts";
import { createBatchGenerator, type AdapterUse, type BatchGenerator } from "./batch-generator.ts";
import type { FinishReason, GenerateOptions } from "./generate.ts";
import { createGenerator } from "./generator.ts";
import { adaptedInference, baseInference } from "./inference.ts";

let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

const sourceOf = (digest: string, stored: StoredAdapter): AdapterSource => ({ digest, load: () => Promise.resolve(stored) });

const collect = async (text: AsyncGenerator<string, FinishReason>): Promise<[text: string, reason: FinishReason]> => {
  let whole = "";
  for (let next = await text.next(); ; next = await text.next()) {
    if (next.done === true) return [whole, next.value];
    whole += next.value;
  }
};

/** Adapters by a letter: of four ranks in three buckets, on other modules, with another scaling, and one whose start shifted the base. */
const configs: Readonly<Record<string, Partial<LoraConfig>>> = {
  a: { r: 4, lora_alpha: 8 },
  b: { r: 16, lora_alpha: 16 },
  c: { r: 3, lora_alpha: 6, target_modules: ["q_proj", "v_proj"] },
  d: { r: 4, lora_alpha: 2, use_rslora: true },
  e: { r: 2, target_modules: ["lm_head", "down_proj"], rank_pattern: { down_proj: 5 } },
  f: { r: 4, lora_alpha: 8, init_lora_weights: "pissa" },
};

interface Text {
  readonly prompt: string;
  readonly adapters: Readonly<Record<string, number>>;
  readonly options?: GenerateOptions;
}

const texts: readonly Text[] = [
  { prompt: "Once upon a time", adapters: { a: 1 } },
  { prompt: "Tom", adapters: {} },
  { prompt: "One day, a dog saw a boat and a girl who had a red hat and", adapters: { b: 0.7 }, options: { maxTokens: 5 } },
  { prompt: "The sun was", adapters: { c: 1, a: -0.5 } },
  { prompt: "Mia had", adapters: { d: 1, a: 0.5, b: 0.25 }, options: { maxTokens: 21 } },
  { prompt: "Lily", adapters: { e: 1.5 } },
  { prompt: "Once upon a time", adapters: { f: 0.5 }, options: { maxTokens: 1 } },
  { prompt: "Once upon a time", adapters: { a: 1, d: 1 }, options: { temperature: 0.9, seed: 4, repetitionPenalty: 1.1 } },
  { prompt: "A cat", adapters: { a: 1 }, options: { stop: ["e"] } },
];

const optionsOf = ({ options }: Text): GenerateOptions => ({ temperature: 0, maxTokens: 12, ...options });

const models: readonly (readonly [string, () => Promise<string>])[] = [
  ["a random model", () => tinyModel()],
  ...(hasShared ? ([["a pretrained model", async () => sharedPath("models/stories260k")]] as const) : []),
];

describe.each(models)("a batch of %s", (_, folderOf) => {
  let base: Base;
  let tokenizer: Tokenizer;
  let stored: Readonly<Record<string, StoredAdapter>>;
  let alone: readonly (readonly [string, FinishReason])[];
  beforeAll(async () => {
    const folder = await folderOf();
    base = await openBase(folder);
    tokenizer = await loadTokenizer(folder);
    const made = Object.entries(configs).map(
      async ([name, config], index) => [name, await randomAdapter(base, config, index, { backend })] as const,
    );
    stored = Object.fromEntries(await Promise.all(made));
    const written: [string, FinishReason][] = [];
    for (const text of texts) {
      const adapters = Object.entries(text.adapters).map(([name, weight]) => ({ ...stored[name], weight }));
      const generator = createGenerator(backend, tokenizer, await adaptedInference(backend, base, adapters));
      written.push(await collect(generator.text(text.prompt, optionsOf(text))));
      await generator.close();
    }
    alone = written;
  });

  const usesOf = (text: Text): AdapterUse[] =>
    Object.entries(text.adapters).map(([name, weight]) => ({ source: sourceOf(`digest of ${name}`, stored[name]), weight }));

  const within = async (rows: number, work: (generator: BatchGenerator, cache: AdapterCache) => Promise<void>): Promise<void> => {
    const before = backend.held();
    const cache = adapterCache(backend, 2 ** 22);
    const generator = createBatchGenerator(backend, tokenizer, baseInference(base), { cache, rows });
    await work(generator, cache);
    await generator.close();
    await cache.dispose();
    expect(backend.held()).toEqual(before);
  };
  const writeAll = (generator: BatchGenerator): Promise<[string, FinishReason][]> =>
    Promise.all(texts.map((text) => collect(generator.text(text.prompt, { ...optionsOf(text), adapters: usesOf(text) }))));

  it("has texts of its own under every adapter", () => {
    expect(new Set(alone.slice(0, 7).map(([text]) => text.slice(0, 4))).size).toBeGreaterThan(4);
  });

  it.each([3, 16])("writes in %d rows what each text is alone, row by row with its own adapters", async (rows) => {
    await within(rows, async (generator) => {
      expect(await writeAll(generator)).toEqual(alone);
    });
  });

  it("shares runs: as many as the longest text has tokens, beside one for each prompt and one for each adapter of a row", async () => {
    await within(4, async (generator, cache) => {
      const [a, d] = ["a", "d"].map((name) => ({ source: sourceOf(name, stored[name]), weight: 1 }));
      for (const { source } of [a, d]) await cache.prefetch(source);
      const before = backend.runs();
      const write = async (adapters: readonly AdapterUse[], count: number): Promise<void> => {
        const decoder = await generator.decoder(adapters);
        await decoder.append([1, 5, 9]);
        for (let token = 1; token < count; token++) await decoder.append([token]);
        await decoder.dispose();
      };
      await Promise.all([[a], [d], [], [a, d]].map((adapters, index) => write(adapters, 6 + index)));
      expect(backend.runs() - before).toBe(4 + 4 + 8);
    });
  });

  it("compiles nothing for other adapters of a form that it knows, and uploads each once", async () => {
    await within(2, async (generator) => {
      const text = (name: string) =>
        collect(generator.text("Tom", { temperature: 0, maxTokens: 4, adapters: [{ source: sourceOf(name, stored[name]), weight: 1 }] }));
      await text("a");
      const { programs, residents } = backend.made();
      await text("d");
      const switched = backend.made();
      expect(switched.programs).toBe(programs);
      // Keys and values of the layers, and A and B of each linear module but the head, for another sequence.
      const perSequence = 2 * base.model.layers + 2 * (base.model.linears.length - 1);
      expect(switched.residents - residents).toBe(perSequence);
      await text("a");
      expect(backend.made().residents - switched.residents).toBe(perSequence);
    });
  });

  it("goes on where a sequence was taken back, and gives rows back that are left in the middle", async () => {
    await within(2, async (generator, cache) => {
      const prompt = tokenizer.encode("One day");
      const decoder = await generator.decoder(usesOf(texts[0]));
      const first = await decoder.append(prompt);
      await decoder.append([7]);
      await decoder.append([8, 9]);
      decoder.rewind(prompt.length - 1);
      const again = await decoder.append(prompt.slice(-1));
      expect(again.every((value, index) => Math.abs(value - first[index]) < 1e-4)).toBe(true);
      await expect(decoder.append([-1])).rejects.toThrow("The token -1 is outside");
      expect(decoder.length).toBe(prompt.length);
      for (let round = 0; round < 3; round++) for await (const _ of generator.text("Tom", { temperature: 0 })) break;
      await decoder.dispose();
      await decoder.dispose();
      expect(cache.bytes).toBeGreaterThan(0);
    });
  });

  it("lets no text fail with another's", async () => {
    await within(3, async (generator) => {
      const lost: AdapterSource = { digest: "lost", load: () => Promise.reject(new Error("gone")) };
      const [fails, long, good] = await Promise.allSettled([
        collect(generator.text("Tom", { adapters: [...usesOf(texts[0]), { source: lost, weight: 1 }] })),
        collect(generator.text(Array.from({ length: base.model.maxPositions }, () => 5))),
        collect(generator.text(texts[0].prompt, { ...optionsOf(texts[0]), adapters: usesOf(texts[0]) })),
      ]);
      expect(fails).toMatchObject({ status: "rejected", reason: { message: "gone" } });
      expect(long).toMatchObject({ status: "rejected", reason: { code: "invalid-argument" } });
      expect(good).toEqual({ status: "fulfilled", value: alone[0] });
    });
  });

  it.each<[string, Partial<LoraConfig>, string]>([
    ["DoRA", { use_dora: true }, "The adapter is of the kind DoRA, whose change is no product of two factors"],
    ["a bias", { lora_bias: true }, "The adapter is of the kind LoRA with a bias"],
    ["whole tensors", { modules_to_save: ["model.norm"] }, "The adapter trains model.norm.weight whole"],
    ["an embedding", { target_modules: ["embed_tokens", "q_proj"] }, "The adapter acts on the embedding model.embed_tokens"],
  ])("refuses adapters with %s by name", async (_name, config, message) => {
    await within(2, async (generator, cache) => {
      const source = sourceOf("other", await randomAdapter(base, { r: 2, ...config }));
      await expect(collect(generator.text("Tom", { adapters: [{ source, weight: 1 }] }))).rejects.toMatchObject({
        code: "unsupported",
        message: expect.stringContaining(message) as string,
      });
      expect(cache.has("other")).toBe(false);
    });
  });
});

it("refuses models with an encoder", async () => {
  const folder = await tinyT5();
  const inference = baseInference(await openBase(folder));
  const cache = adapterCache(backend, 1);
  const tokenizer = await loadTokenizer(folder);
  expect(() => createBatchGenerator(backend, tokenizer, inference, { cache, rows: 2 })).toThrow(/Models with an encoder \(t5\)/);
});
