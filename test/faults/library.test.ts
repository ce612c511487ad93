/** @file Libraries whose processes are killed at any moment, or that several processes write at once. The full figures: `npx tsx bench/library-faults.ts`. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { faults, runFault, runTwoWriters, writeMaterial } from "./library-rounds.ts";
import { workshop } from "./material.ts";

const folder = workshop();
const at = (name: string): string => {
  mkdirSync(join(folder, name), { recursive: true });
  return join(folder, name);
};
beforeAll(() => writeMaterial(at("material"), 80), 60_000);

describe("a library", () => {
  it.each(Object.keys(faults))("%s", { timeout: 120_000 }, async (name) => {
    const shares = await runFault(name, { folder, seed: 7, rounds: 8 });
    expect(shares).toHaveLength(8);
  });

  it("takes 80 adapters from two processes at once, while a third reads", { timeout: 120_000 }, () => runTwoWriters(folder, 40));
});
