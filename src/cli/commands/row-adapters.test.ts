import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel } from "../../language-model.ts";
import { openLibrary } from "../../library/index.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const assets = resolve(import.meta.dirname, "../../../assets");
const [tiny, pirate, weather] = ["tiny", "adapters/pirate", "adapters/weather"].map((name) => join(assets, name));
let folder: string;
let dora: string;
let library: string;

const place = (name: string): string => join(folder, name);
const jsonl = (name: string, rows: readonly object[]): string => {
  writeFileSync(place(name), rows.map((row) => JSON.stringify(row)).join("\n"));
  return place(name);
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "lowrank-rows-"));
  process.env["LOWRANK_CACHE"] = place("cache");
  dora = place("dora");
  library = place("library");
  const model = await loadModel(tiny);
  await model.saveAdapter(dora, await model.attach({ r: 2, use_dora: true, init_lora_weights: false }, 3));
  await model.close();
  const opened = await openLibrary(library, { create: true });
  await opened.add(weather, { name: "weather" });
  opened.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("lowrank generate --prompts", () => {
  const generate = (...words: string[]): string[] => ["generate", "--model", tiny, "--library", library, "--max-tokens", "12", ...words];
  const one = (adapters: readonly string[], prompt: string) =>
    lowrankJson(generate(...adapters.flatMap((name) => ["--adapter", name]), prompt));

  it("writes each row's text as it would alone with the row's adapters, in their order", async () => {
    const rows = [
      { prompt: "Once upon a time", adapter: pirate },
      { prompt: "Once upon a time", adapter: dora },
      { prompt: "Once upon a time" },
      { prompt: "Once upon a time", adapter: null },
      { prompt: "The sky", adapter: ["weather", `${pirate}:-0.5`] },
      { prompt: "The sky", adapter: "weather@1" },
    ];
    const words = generate("--adapter", `${pirate}:0.5`, "--batch-size", "3");
    const { stdout, stderr, code } = await lowrank([...words, "--prompts", jsonl("prompts.jsonl", rows)]);
    expect([stderr, code]).toEqual(["", 0]);
    const adapters = [[pirate], [dora], [`${pirate}:0.5`], [], ["weather", `${pirate}:-0.5`], ["weather@1"]];
    const expected: object[] = [];
    for (const [index, { prompt }] of rows.entries()) {
      const { text, finishReason } = await one(adapters[index], prompt);
      expected.push({ prompt, adapters: adapters[index], text, finishReason });
    }
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as object),
    ).toEqual(expected);
    const object = await lowrankJson([...words, "--prompts", place("prompts.jsonl")]);
    expect(object).toEqual({ model: tiny, texts: expected, seconds: expect.any(Number) as number });
  });

  it.each<[string, object[], string]>([
    ["no text", [{ prompt: "a" }, { prompt: 3 }], 'wrong.jsonl:2: "prompt" must be a text, but it is 3.'],
    [
      "no adapter's name",
      [{ prompt: "a", adapter: 4 }],
      'wrong.jsonl:1: "adapter" must be the name of an adapter or a list of them, but it is 4.',
    ],
    ["an adapter that is not there", [{ prompt: "a" }, { prompt: "a", adapter: "weather@7" }], "wrong.jsonl:2: "],
  ])("refuses %s with its line", async (_, rows, message) => {
    const { stderr, code } = await lowrank(["generate", "--model", tiny, "--library", library, "--prompts", jsonl("wrong.jsonl", rows)]);
    expect(oneLine(stderr)).toContain(message);
    expect(code).not.toBe(0);
  });

  it("wants either a prompt or a file of them", async () => {
    for (const words of [["generate"], ["generate", "Once", "--prompts", "x.jsonl"]])
      expect(oneLine((await lowrank(words)).stderr)).toContain("One of a prompt and --prompts is needed.");
  });
});

describe("lowrank evaluate --adapter-column", () => {
  const measure = (data: string, ...words: string[]) =>
    lowrankJson(["evaluate", "--model", tiny, "--library", library, "--seq-length", "128", "--data", data, ...words]);

  it("measures each row with its own adapters, as one adapter after the other does", async () => {
    const texts = readFileSync(join(assets, "data/pirate/valid.jsonl"), "utf8").trim().split("\n").slice(0, 12);
    const rows = texts.map((line) => JSON.parse(line) as object);
    const names = [pirate, dora, "weather", ""];
    const mixed = rows.map((row, index) => ({ ...row, adapter: names[index % names.length] }));
    const whole = await measure(jsonl("mixed.jsonl", mixed), "--adapter-column", "adapter");
    let [sum, weight] = [0, 0];
    for (const [index, name] of names.entries()) {
      const own = jsonl(
        "own.jsonl",
        rows.filter((_, row) => row % names.length === index),
      );
      const part = await measure(own, ...(name === "" ? [] : ["--adapter", name]));
      sum += Number(part["loss"]) * Number(part["weight"]);
      weight += Number(part["weight"]);
    }
    expect(whole).toMatchObject({ weight, examples: 12 });
    expect(Math.abs(Number(whole["loss"]) - sum / weight)).toBeLessThan(1e-5);
    const others = await measure(place("mixed.jsonl"), "--adapter-column", "other", "--adapter", pirate);
    expect(others["loss"]).toBeCloseTo(Number((await measure(place("mixed.jsonl"), "--adapter", pirate))["loss"]), 5);
  });

  it("goes with rows alone", async () => {
    const { stderr } = await lowrank(["evaluate", "--model", tiny, "--data", "x.txt", "--stream", "--adapter-column", "adapter"]);
    expect(oneLine(stderr)).toContain("--adapter-column goes neither with --stream nor with --against-base.");
  });
});
