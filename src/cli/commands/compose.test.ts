import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { folderDigest } from "../../library/index.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const adapter = (name: string): string => resolve(import.meta.dirname, "../../../assets/adapters", name);
const [pirate, weather] = [adapter("pirate"), adapter("weather")];

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lowrank-compose-command-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const place = (name: string): string => join(folder, name);

describe("lowrank compose", () => {
  it("writes the exact sum, which generates as the two together", async () => {
    const { stdout, code } = await lowrank([
      "compose",
      "--adapter",
      `${pirate}:0.5`,
      "--adapter",
      `${weather}:0.5`,
      "--output",
      place("sum"),
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Adapter in .+: rank \d+, \d+ modules, [\d,]+ parameters; exactly their sum\.\n$/);
    const words = ["generate", "--max-tokens", "12", "Once there was"];
    const together = await lowrankJson([...words, "--adapter", `${pirate}:0.5`, "--adapter", `${weather}:0.5`]);
    expect(await lowrankJson([...words, "--adapter", place("sum")])).toMatchObject({ text: together["text"] });
  });

  it("says what a rank loses, module by module", async () => {
    const words = ["compose", "--adapter", pirate, "--adapter", weather, "--method", "svd", "--rank", "2", "--output", place("low")];
    const { stdout } = await lowrank(words);
    expect(stdout).toMatch(/module +rank +‖ΔW‖ +off by/);
    expect(stdout).toMatch(/rank 2, .* parameters; \d+(\.\d)? ?% off the exact sum\.\n$/);
    const report = await lowrankJson([...words, "--force"]);
    expect(report).toMatchObject({ r: 2, method: "svd" });
    expect(report["error"]).toBeGreaterThan(0.05);
    expect(report["energy"] as number).toBeCloseTo(1 - (report["error"] as number) ** 2, 10);
  });

  it("weighs modules, of all adapters or of one", async () => {
    const make = async (name: string, ...words: string[]): Promise<string> => {
      const both = ["compose", "--adapter", pirate, "--adapter", weather];
      expect((await lowrank([...both, ...words, "--output", place(name)])).code).toBe(0);
      return folderDigest(place(name));
    };
    const each = ["--module-weight", `${pirate}:q_proj=0.5`, "--module-weight", `${weather}:q_proj=0.5`];
    expect(await make("each", ...each)).toBe(await make("all", "--module-weight", "q_proj=0.5"));
    expect(await make("first", ...each.slice(0, 2))).not.toBe(await make("second", ...each.slice(2)));
  });

  it.each<[string, string[], string]>([
    ["an unknown method", ["--method", "mean"], 'There is no method "mean". Choose among cat, svd,'],
    ["a pattern that is none", ["--module-weight", "(=1"], "--module-weight: ( is not a regular expression."],
    ["a module's weight without a number", ["--module-weight", "q_proj"], "a module's weight is given as pattern=number"],
  ])("refuses %s", async (_, words, message) => {
    const { stderr, code } = await lowrank(["compose", "--adapter", pirate, "--output", place("refused"), ...words]);
    expect(oneLine(stderr)).toContain(message);
    expect(code).toBe(1);
  });
});

describe("publishing what was composed", () => {
  it("keeps the adapters that it was made of, by digest and weight", async () => {
    const library = place("library");
    const words = ["compose", "--adapter", `${pirate}:0.5`, "--adapter", `${weather}:-1`, "--output", place("published")];
    const report = await lowrankJson([...words, "--publish", "both", "--library", library]);
    expect(report["published"]).toMatchObject({ name: "both", version: 1 });
    const parents = await Promise.all([pirate, weather].map(folderDigest));
    const shown = await lowrankJson(["library", "show", "both", "--library", library]);
    expect(JSON.stringify(shown)).toContain(JSON.stringify({ digest: parents[0], weight: 0.5 }));
    expect(JSON.stringify(shown)).toContain(JSON.stringify({ digest: parents[1], weight: -1 }));
    // What was published under a name is an adapter like any other.
    expect((await lowrank(["generate", "--adapter", "both", "--library", library, "--max-tokens", "3", "Once"])).code).toBe(0);
  });
});

describe("lowrank resize", () => {
  it("keeps a share of the energy and says what it costs on data", async () => {
    writeFileSync(place("rows.jsonl"), '{"text": "The ship sailed over the sea."}\n{"text": "It rained all day."}\n');
    const report = await lowrankJson(["resize", pirate, "--energy", "0.9", "--data", place("rows.jsonl"), "--output", place("resized")]);
    expect(report["energy"]).toBeGreaterThanOrEqual(0.9);
    const { before, after } = report["losses"] as { before: number; after: number };
    expect(Math.abs(after - before)).toBeGreaterThan(0);
    expect(Math.abs(after - before)).toBeLessThan(1);
  });
});

describe("lowrank extract", () => {
  it("takes out what was merged in", async () => {
    await lowrank(["merge", "--adapter", pirate, "--output", place("merged")]);
    const report = await lowrankJson(["extract", place("merged"), "--rank", "16", "--output", place("extracted")]);
    expect(report["error"]).toBeLessThan(1e-3);
    expect(report["whole"]).toEqual([]);
    expect((await lowrank(["generate", "--adapter", place("extracted"), "--max-tokens", "4", "Once"])).code).toBe(0);
  });
});

describe("lowrank hub-compose", () => {
  it("finds weights by a few examples, the same by the same seed", async () => {
    writeFileSync(place("five.jsonl"), Array.from({ length: 6 }, (_, index) => `{"text": "Arr, the ship had ${index} sails."}\n`).join(""));
    const words = ["hub-compose", "--adapter", pirate, "--adapter", weather, "--data", place("five.jsonl"), "--evaluations", "12"];
    const run = (name: string) => lowrankJson([...words, "--eval-data", place("five.jsonl"), "--output", place(name)]);
    const [first, second] = [await run("hub-1"), await run("hub-2")];
    expect(first["parents"]).toEqual(second["parents"]);
    expect(first["evaluations"]).toBe(12);
    const { base, composed } = first["heldOut"] as { base: number; composed: number };
    expect(composed).toBeLessThan(base);
  });
});

describe("lowrank route", () => {
  it("puts the adapter first that the text suits", async () => {
    const words = ["route", "--adapter", pirate, "--adapter", weather];
    const text = "Arr, the captain sailed the ship over the sea, me hearties.";
    const { stdout, code } = await lowrank([...words, text]);
    expect(code).toBe(0);
    const [title, , first] = stdout.split("\n");
    expect(title).toMatch(/^adapter +loss +below the base +reacts \(Arrow\) +like its data$/);
    expect(first).toContain("pirate");
    const report = await lowrankJson([...words, text, "--by", "arrow"]);
    expect(report).toMatchObject({ by: "arrow", adapters: [{ arrow: expect.any(Number) }, { arrow: expect.any(Number) }] });
  });

  it("compares a text with the data that adapters were published with", async () => {
    const assets = resolve(import.meta.dirname, "../../../assets");
    const library = ["--library", place("library")];
    for (const name of ["pirate", "weather"]) {
      const words = [
        "--model",
        join(assets, "tiny"),
        "--data",
        join(assets, `data/${name}/train.jsonl`),
        "--output",
        place(`trained-${name}`),
      ];
      const { code } = await lowrank([
        "train",
        ...words,
        ...library,
        "--max-steps",
        "1",
        "--batch-size",
        "2",
        "--rank",
        "2",
        "--publish",
        name,
      ]);
      expect(code).toBe(0);
    }
    const ranked = async (name: string): Promise<{ adapter: string; data: number }[]> => {
      const data = ["--data", join(assets, `data/${name}/valid.jsonl`), "--examples", "4"];
      const report = await lowrankJson(["route", "--adapter", "pirate", "--adapter", "weather", ...library, "--by", "data", ...data]);
      return report["adapters"] as { adapter: string; data: number }[];
    };
    for (const name of ["pirate", "weather"]) {
      const [first, second] = await ranked(name);
      expect(first.adapter).toBe(name);
      expect(first.data).toBeGreaterThan(0.5);
      expect(second.data).toBeLessThan(0);
    }
  });

  it("wants one input", async () => {
    const { stderr } = await lowrank(["route", "--adapter", pirate]);
    expect(oneLine(stderr)).toContain("The input is a text, or examples with --data.");
  });
});

describe("lowrank evaluate --against-base", () => {
  it("shows what an adapter costs on general text beside what it gains on its own", async () => {
    const assets = resolve(import.meta.dirname, "../../../assets");
    writeFileSync(place("general.txt"), "Once upon a time there was a little girl. She liked to play in the garden. ".repeat(40));
    const words = ["evaluate", "--model", join(assets, "tiny"), "--adapter", pirate, "--data", join(assets, "data/pirate/valid.jsonl")];
    const limits = ["--eval-limit", "8", "--seq-length", "128", "--against-base", place("general.txt")];
    const report = await lowrankJson([...words, ...limits]);
    const { data, general } = report["againstBase"] as Record<"data" | "general", { base: number; adapter: number }>;
    expect(data.adapter).toBe(report["loss"]);
    expect(data.adapter).toBeLessThan(data.base - 0.5);
    expect(general.adapter).toBeGreaterThan(general.base);
    const { stdout } = await lowrank([...words, ...limits]);
    expect(stdout).toMatch(/loss on +base +adapter +change\n─.*\nthe data .* -\d\.\d+\ngeneral text .* \+\d\.\d+\n/);
  });
});
