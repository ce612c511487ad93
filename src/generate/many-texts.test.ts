import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { randomAdapter, tinyModel, tinyT5 } from "../../test/tiny-model.ts";
import { loadTokenizer, type Tokenizer } from "../formats/index.ts";
import type { LoraConfig, StoredAdapter } from "../lora/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { adapterCache, type AdapterSource } from "./adapter-cache.ts";
import { createGenerator } from "./generator.ts";
import { adaptedInference } from "./inference.ts";
import { writeTexts, type TextRequest, type WrittenText } from "./many-texts.ts";

let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

/** Adapters by name, of which the last four cannot be mixed with others. */
const configs: Readonly<Record<string, Partial<LoraConfig>>> = {
  plain: { r: 4, lora_alpha: 8 },
  wide: { r: 16, lora_alpha: 16, target_modules: ["q_proj", "down_proj"] },
  dora: { r: 2, use_dora: true },
  bias: { r: 2, lora_bias: true },
  embedding: { r: 2, target_modules: ["embed_tokens", "q_proj"] },
  whole: { r: 2, modules_to_save: ["model.norm"] },
};

type Text = readonly [prompt: string, adapters: Readonly<Record<string, number>>];

const texts: readonly Text[] = [
  ["Once upon a time", { plain: 1 }],
  ["Tom", { dora: 1 }],
  ["One day, a dog saw a boat and a girl who had a red hat and", { wide: 0.7 }],
  ["The sun was", {}],
  ["Mia had", { dora: 1 }],
  ["Lily", { dora: 0.5, plain: 1 }],
  ["A cat", { bias: 1 }],
  ["A cat", { embedding: 1 }],
  ["A cat", { whole: 1 }],
  ["Once upon a time", { plain: 1, wide: -0.5 }],
];

const options = { temperature: 0, maxTokens: 9 };

interface Setting {
  readonly base: Base;
  readonly tokenizer: Tokenizer;
  readonly stored: Readonly<Record<string, StoredAdapter>>;
  readonly loads: string[];
  requests(chosen: readonly Text[]): TextRequest[];
  alone(text: Text): Promise<WrittenText>;
}

const prepare = async (folder: string, names: readonly string[]): Promise<Setting> => {
  const [base, tokenizer] = [await openBase(folder), await loadTokenizer(folder)];
  const made = names.map(async (name, index) => [name, await randomAdapter(base, configs[name], index, { backend })] as const);
  const stored: Readonly<Record<string, StoredAdapter>> = Object.fromEntries(await Promise.all(made));
  const loads: string[] = [];
  const sourceOf = (name: string): AdapterSource => ({
    digest: `digest of ${name}`,
    load: () => {
      loads.push(name);
      return Promise.resolve(stored[name]);
    },
  });
  return {
    base,
    tokenizer,
    stored,
    loads,
    requests: (chosen) =>
      chosen.map(([prompt, adapters]) => ({
        prompt,
        adapters: Object.entries(adapters).map(([name, weight]) => ({ source: sourceOf(name), weight })),
      })),
    alone: async ([prompt, adapters]) => {
      const weighted = Object.entries(adapters).map(([name, weight]) => ({ ...stored[name], weight }));
      const generator = createGenerator(backend, tokenizer, await adaptedInference(backend, base, weighted));
      const pieces = generator.text(prompt, options);
      let text = "";
      let next = await pieces.next();
      for (; next.done !== true; next = await pieces.next()) text += next.value;
      await generator.close();
      return { text, finishReason: next.value };
    },
  };
};

const writeAll = async ({ base, tokenizer }: Setting, requests: readonly TextRequest[], rows: number, budget = 2 ** 22) => {
  const before = backend.held();
  const cache = adapterCache(backend, budget);
  const written: WrittenText[] = [];
  try {
    await writeTexts({ backend, base, tokenizer, cache, rows }, requests, options, (index, text) => (written[index] = text));
  } finally {
    await cache.dispose();
    expect(backend.held()).toEqual(before);
  }
  return written;
};

describe("many texts", () => {
  let setting: Setting;
  let alone: readonly WrittenText[];
  beforeAll(async () => {
    setting = await prepare(await tinyModel(), Object.keys(configs));
    const each: WrittenText[] = [];
    for (const text of texts) each.push(await setting.alone(text));
    alone = each;
    expect(new Set(each.map(({ text }) => text)).size).toBeGreaterThan(7);
  });

  it.each([1, 3, 16])("are in %d rows what each is alone, with adapters of every kind", async (rows) => {
    expect(await writeAll(setting, setting.requests(texts), rows)).toEqual(alone);
  });

  it("find their adapters loaded: those of the next texts are brought while these are written", async () => {
    const chosen: Text[] = ["plain", "wide", "plain", "wide"].map((name) => ["Tom", { [name]: 1 }]);
    const requests = setting.requests(chosen);
    setting.loads.length = 0;
    const seen: (readonly string[])[] = [];
    const cache = adapterCache(backend, 2 ** 22);
    await writeTexts({ backend, ...setting, cache, rows: 1 }, requests, options, () => seen.push([...setting.loads]));
    await cache.dispose();
    expect(seen).toEqual(Array.from({ length: 4 }, () => ["plain", "wide"]));
  });

  it("end with the first failure, once what is under way is done", async () => {
    const requests = setting.requests(texts);
    const lost: AdapterSource = { digest: "lost", load: () => Promise.reject(new Error("gone")) };
    requests.splice(2, 0, { prompt: "Tom", adapters: [{ source: lost, weight: 1 }] });
    await expect(writeAll(setting, requests, 3)).rejects.toThrow("gone");
  });

  it("are written one after the other by models with an encoder", async () => {
    const encoding = await prepare(await tinyT5(), ["dora"]);
    const chosen: Text[] = [
      ["Tom", {}],
      ["Mia", { dora: 1 }],
      ["Lily", {}],
    ];
    const expected = [];
    for (const text of chosen) expected.push(await encoding.alone(text));
    expect(await writeAll(encoding, encoding.requests(chosen), 4)).toEqual(expected);
  });
});
