/** @file Every example runs by itself, says what it promises, and ends: nothing keeps its process alive. */
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { hasShared } from "./shared.ts";

const folder = join(import.meta.dirname, "../examples");

/** What makes an example quicker than what it is for allows. */
const shortened: Readonly<Record<string, readonly string[]>> = { "06-classify-spam.ts": ["--epochs", "2"] };
/** Examples of shared models and data. */
const needShared = new Set(["06-classify-spam.ts"]);

/** What an example prints; it must end by itself with exit code 0. */
const run = async (name: string): Promise<string> => {
  const command = ["--import", "tsx", join(folder, name), ...(shortened[name] ?? [])];
  const { stdout } = await promisify(execFile)(process.execPath, command, { timeout: 100_000 });
  return stdout;
};

/** The numbers that a pattern's groups find in a text. */
const figures = (text: string, pattern: RegExp): number[] => pattern.exec(text)!.slice(1).map(Number);

const checks: Readonly<Record<string, (printed: string) => void>> = {
  "01-lora-layer.ts": (printed) => {
    const errors = [...printed.matchAll(/^largest .*: +(\S+)$/gm)].map(([, error]) => Number(error));
    expect(errors).toHaveLength(3);
    expect(Math.max(...errors)).toBeLessThan(1e-5);
    const [start, dA, dB] = figures(printed, /\|h − x·W\| is (\S+), \|dA\| (\S+), \|dB\| (\S+)/);
    expect([start, dA]).toEqual([0, 0]);
    expect(dB).toBeGreaterThan(0.1);
  },
  "02-train-and-generate.ts": (printed) => {
    const [before] = figures(printed, /held out after step 0: (\S+)/);
    const [steps, after] = figures(printed, /held out after step ([1-9]\d*): (\S+)/);
    expect(steps).toBe(200);
    expect(after).toBeLessThan(before / 5);
    expect(printed).toMatch(/^base: (?!.*; take: )/m);
    expect(printed).toMatch(/^with the adapter: .*; wind: .*; take: /m);
    expect(printed).toContain("merged, it says the same\n");
  },
  "03-library.ts": (printed) => {
    expect(printed).toMatch(/^demo\/pirate@1 is sha256:[0-9a-f]{12}…, trained on the base sha256:[0-9a-f]{12}…$/m);
    expect(printed).toMatch(/^found: demo\/weather@1$/m);
    expect(printed).toMatch(/^with demo\/weather:prod: .*; wind: .*; take: /m);
    expect(printed.match(/^demo\/(pirate|weather)@1 is sound$/gm)).toHaveLength(2);
  },
  "04-prefer.ts": (printed) => {
    const [words] = figures(printed, /^base: (\S+) words/m);
    const [margin, accuracy] = figures(printed, /held out after step 0: .*margin (\S+), accuracy (\S+),/);
    const [wider, surer] = figures(printed, /held out after step [1-9]\d*: .*margin (\S+), accuracy (\S+),/);
    expect([margin, accuracy]).toEqual([0, 0]);
    expect(wider).toBeGreaterThan(1);
    expect(surer).toBeGreaterThan(0.8);
    expect(words).toBeGreaterThan(50);
    expect(figures(printed, /^with the adapter: (\S+) words/m)[0]).toBeLessThan(words / 2);
  },
  "05-three-domains.ts": (printed) => {
    const row = (name: string): number[] => figures(printed, new RegExp(`^${name}: pirate (\\S+), weather (\\S+), orders (\\S+)$`, "m"));
    const base = row("base alone");
    ["pirate", "weather", "orders"].forEach((domain, index) => expect(row(`with ${domain}`)[index]).toBeLessThan(base[index] / 2));
    expect(row("composed into one of rank \\d+")).toEqual(row("with pirate and weather at 0.7"));
    const [whole, adapter] = [...figures(printed, /^base: (\d+) kB$/m), ...figures(printed, /^orders: (\d+) kB$/m)];
    expect(adapter).toBeLessThan(whole / 5);
  },
  "06-classify-spam.ts": (printed) => {
    expect(printed).toMatch(/^train 1045, validation 149, test 300$/m);
    expect(printed).toMatch(/^LoRA: 92608 trained parameters/m);
    const row = (name: string): number[] =>
      figures(printed, new RegExp(`^${name}: train (\\S+) %, validation (\\S+) %, test (\\S+) %$`, "m"));
    expect(Math.max(...row("majority"))).toBeLessThan(55);
    for (const name of ["bag of words", "LoRA", "full fine-tuning"]) expect(Math.min(...row(name))).toBeGreaterThan(90);
  },
};

test("every example is checked", () => {
  expect(Object.keys(checks).sort()).toEqual(readdirSync(folder).filter((name) => name.endsWith(".ts")));
});

for (const [name, check] of Object.entries(checks))
  test.skipIf(needShared.has(name) && !hasShared)(name, async () => check(await run(name)), 120_000);
