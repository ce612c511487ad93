/** @file The embedded model's generator, tokenizer and data: deterministic, grammatical, disjoint, and what is committed is what they produce. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Tokenizer } from "@huggingface/tokenizers";
import { trainBpe } from "../scripts/embedded/bpe.ts";
import { child, hero } from "../scripts/embedded/cast.ts";
import { corpus, documentAt } from "../scripts/embedded/corpus.ts";
import { domainData, domains, jsonl } from "../scripts/embedded/domains/index.ts";
import { a, count, list, plural, teller } from "../scripts/embedded/english.ts";
import { plots } from "../scripts/embedded/plots/index.ts";
import { recipe } from "../scripts/embedded/recipe.ts";
import { storyOf } from "../scripts/embedded/story.ts";
import { buildTokenizer, specialTokens, tokenizerConfig, vocabularySize } from "../scripts/embedded/tokenizer.ts";
import { random } from "../src/util/index.ts";

const assets = join(import.meta.dirname, "../assets");
const digest = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
const documents = [...corpus(recipe.seed, 1_500_000)];

describe("english", () => {
  test("templates choose a branch, innermost first, and tidy spaces", () => {
    const { say } = teller(random(1));
    expect(say("no choice")).toBe("no choice");
    expect(say("(|)x (|) .")).toBe("x.");
    const drawn = new Set(Array.from({ length: 200 }, () => say("(a|(b|c) d)")));
    expect([...drawn].sort()).toEqual(["a", "b d", "c d"]);
  });

  test.each([
    [a("apple"), "an apple"],
    [a("red apple"), "a red apple"],
    [plural("cup of tea"), "cups of tea"],
    [plural("red cherry"), "red cherries"],
    [plural("loaf of bread"), "loaves of bread"],
    [plural("peach"), "peaches"],
    [plural("toy"), "toys"],
    [count(1, "egg"), "one egg"],
    [count(12, "mouse"), "twelve mice"],
    [list(["a"]), "a"],
    [list(["a", "b", "c"]), "a, b and c"],
  ])("%s", (actual, expected) => expect(actual).toBe(expected));
});

describe("corpus", () => {
  test("the same seed gives the same bytes, on every machine", () => {
    expect(digest(documents.join("\n\n").slice(0, 100_000))).toBe("695a5fefc1a3d8dc");
    expect(documentAt(recipe.seed, 7)).toBe(documents[7]);
    expect(documentAt(recipe.seed + 1, 7)).not.toBe(documents[7]);
  });

  test.each([
    ["two spaces or a space at an end", /  |^ | $|^$/m],
    ["a space before a mark", / [.,!?;:]/],
    ["what templates are written with", /[()|[\]{}]|undefined|NaN|null/],
    ["a wrong article", /\b(?:a [aeiou]|an [^aeiou])/i],
    ["the same word twice", /\b([a-z]+) \1\b/],
    ["two full stops", /[.!?]"?[.,!?]/],
    ["a small letter after a full stop", /[.!?] [a-z]/],
    ["a small letter in a new quotation", /(?:^|[^,] )"[a-z]/m],
    ["a paragraph without an end", /[^.!?"]$/m],
    ["a quotation without an end", /[^.,!?]"(?: |$)/m],
  ])("no document has %s", (_, pattern) => {
    // Conversations carry special tokens; each turn is a text of its own. Sums such as 2 + 3 = 5 are no sentences.
    const texts = documents
      .flatMap((document) => document.split(/<\/s>|<user>|<assistant>/))
      .filter((text) => text !== "" && !/\d/.test(text));
    expect(texts.length).toBeGreaterThan(2000);
    expect(texts.filter((text) => pattern.test(text)).slice(0, 3)).toEqual([]);
  });

  test("quotation marks are paired in every paragraph", () => {
    const odd = documents.flatMap((document) => document.split("\n")).filter((paragraph) => paragraph.split('"').length % 2 === 0);
    expect(odd).toEqual([]);
  });

  test("texts are varied", () => {
    const stories = documents.filter((document) => document.includes("\n"));
    expect(new Set(stories).size).toBe(stories.length);
  });

  test.each(plots.map(({ topic, plot }, index) => [topic, plot, index] as const))(
    "the story of %s names its hero and fits a context",
    (_, plot, index) => {
      for (let seed = 0; seed < 40; seed++) {
        const tell = teller(random(seed, index));
        const someone = hero(tell);
        const text = storyOf(tell, someone, plot);
        expect(text.split(someone.name).length).toBeGreaterThan(3);
        expect(text.length).toBeGreaterThan(350);
        expect(text.length).toBeLessThan(1050);
      }
    },
  );

  test("pronouns follow the name", () => {
    for (let seed = 0; seed < 200; seed++) {
      const { noun, he, him, his, He, His } = child(teller(random(seed)));
      expect([he, him, his, He, His]).toEqual(noun === "girl" ? ["she", "her", "her", "She", "Her"] : ["he", "him", "his", "He", "His"]);
    }
  });
});

describe.each(domains.map((domain) => [domain.name, domain] as const))("domain %s", (name, domain) => {
  const { train, valid } = domainData(domain, recipe.seed);

  test("its parts share no prompt", () => {
    expect([train.length, valid.length]).toEqual([domain.rows.train, domain.rows.valid]);
    expect(new Set([...train, ...valid].map(({ prompt }) => prompt)).size).toBe(train.length + valid.length);
  });

  test("what is committed is what it writes", () => {
    expect(readFileSync(join(assets, "data", name, "train.jsonl"), "utf8")).toBe(jsonl(train));
    expect(readFileSync(join(assets, "data", name, "valid.jsonl"), "utf8")).toBe(jsonl(valid));
  });
});

test("an order's total is the sum of its items", () => {
  const orders = domains.find(({ name }) => name === "orders")!;
  for (const { prompt, completion } of domainData(orders, 5).train) {
    const { name, items, total } = JSON.parse(completion) as { name: string; items: string[]; total: number };
    expect(prompt).toContain(name);
    expect(items.reduce((sum, item) => sum + Number.parseInt(item), 0)).toBe(total);
  }
});

describe("tokenizer", () => {
  test("merges come by frequency, then by order", () => {
    // "ab" occurs four times; then "ab"+"c" and " "+"d" twice each, of which the pair that sorts first is taken.
    expect(trainBpe(["abc abc ab ab", "d d d"], 3)).toEqual([
      ["a", "b"],
      ["Ġ", "ab"],
      ["Ġ", "d"],
    ]);
  });

  const built = buildTokenizer(corpus(recipe.seed, recipe.tokenizerCharacters));
  const tokenizer = new Tokenizer(built, tokenizerConfig(recipe.shape.max_position_embeddings));

  test("the vocabulary is full and its first ids are the special tokens", () => {
    expect(Object.values(built.model.vocab).sort((one, other) => one - other)).toEqual(
      Array.from({ length: vocabularySize }, (_, id) => id),
    );
    expect(specialTokens.map((token) => built.model.vocab[token])).toEqual([0, 1, 2, 3, 4]);
    expect(tokenizer.encode("Mia<user>").ids.at(-1)).toBe(specialTokens.indexOf("<user>"));
    expect(tokenizer.encode("").ids).toEqual([specialTokens.indexOf("<s>")]);
  });

  test("every text comes back", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        fc.pre(!specialTokens.some((token) => text.includes(token)));
        expect(tokenizer.decode(tokenizer.encode(text).ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false })).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  test("the corpus takes at most one token for three and a half characters", () => {
    const sample = documents.slice(0, 200);
    const tokens = sample.reduce((sum, text) => sum + tokenizer.encode(text).ids.length, 0);
    expect(sample.join("").length / tokens).toBeGreaterThan(3.5);
  });

  test("what is committed is what it builds", () => {
    const committed = (name: string): unknown => JSON.parse(readFileSync(join(assets, "tiny", name), "utf8"));
    expect(committed("tokenizer.json")).toEqual(built);
    expect(committed("tokenizer_config.json")).toEqual(tokenizerConfig(recipe.shape.max_position_embeddings));
  });
});

test("all assets together stay under 4 MB", () => {
  const files = readdirSync(assets, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  expect(files.length).toBeGreaterThan(9);
  expect(bytes).toBeLessThan(4_000_000);
});
