import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tinyModel } from "../../../test/tiny-model.ts";
import { lowrank, lowrankJson } from "./command.fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-preferences-"));
const data = join(folder, "pairs.jsonl");
let model: string;
beforeAll(async () => {
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
  model = await tinyModel();
  const rows = ["cat", "dog", "boat", "tree", "hen", "cup", "hat", "bun"].map((thing) => ({
    prompt: `Tom saw a ${thing}.`,
    chosen: ` He took the ${thing} home.`,
    rejected: ` The ${thing} was bad.`,
  }));
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join("\n"));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const recipe = (loss: string): string[] => [
  ..."train --batch-size 4 --seq-length 64 --epochs 6 --learning-rate 1e-2 --rank 4 --hold-out 0.25 --threads 1".split(" "),
  "--model",
  model,
  "--data",
  data,
  "--output",
  join(folder, loss),
];

describe.each([
  ["dpo", ["--loss", "auto", "--beta", "0.2"], "pair"],
  ["orpo", ["--loss", "orpo"], "pair"],
  ["kto", ["--loss", "kto", "--undesirable-weight", "1.5"], "judged answer"],
])("%s", (loss, flags, noun) => {
  it("raises the chosen answers over the rejected ones, live and held out, and evaluate says the same of its adapter", async () => {
    const { stdout, stderr, code } = await lowrank([...recipe(loss), ...flags]);
    expect(stderr.replaceAll(/^Note: .*\n/gm, "")).toBe("");
    expect(code).toBe(0);
    expect(stdout).toContain(`First ${noun}, as the model sees it (`);
    if (noun === "pair") expect(stdout).toMatch(/^chosen:\n.*He took the cat home[^]*^rejected:\n.*The cat was bad/m);
    expect(stdout).toMatch(new RegExp(`^\\d+ ${noun}s \\(preference, ${loss} loss over completions\\), `, "m"));
    expect(stdout).toMatch(/^step \d+\/\d+ {2}loss \S+ {2}(margin|accuracy) \S+ {2}/m);
    const [first, last] = [...stdout.matchAll(/^step \d+ {2}held-out loss (\S+) .*margin (\S+) .*chosen reward (\S+)/gm)].map((match) =>
      match.slice(1).map(Number),
    ) as [number[], number[]];
    expect(last[0]).toBeLessThan(first[0]);
    expect(last[1]).toBeGreaterThan(first[1] + 0.01);

    const evaluate = ["evaluate", "--model", model, "--data", data, "--seq-length", "64", "--hold-out", "0.25", "--threads", "1"];
    const report = await lowrankJson([...evaluate, ...flags, "--adapter", join(folder, loss)]);
    expect(report["loss"]).toBeCloseTo(last[0], 3);
    expect(report["margin"]).toBeCloseTo(last[1], 2);
    expect(report["examples"]).toBe(noun === "pair" ? 2 : 4);
  });
});

it.each([
  [["--loss", "orpo", "--beta", "0.1"], "The loss orpo has no setting beta. It has lambda."],
  [["--loss", "dpo", "--pack"], "Examples of this kind cannot be packed into rows. Leave packing off."],
  [["--loss", "dpo", "--stream"], "A stream of text has no pairs to learn from. Leave --stream off."],
  [["--loss", "dpo", "--label-smoothing", "0.5"], "--label-smoothing"],
  [["--loss", "kto", "--format", "chat"], 'The format "chat" is none of those that this loss learns from.'],
])("refuses %j before anything is written", async (flags, message) => {
  const { stderr, code } = await lowrank([...recipe("refused"), ...flags]);
  expect(code).not.toBe(0);
  expect(stderr.replaceAll("\n", " ")).toContain(message);
  expect(existsSync(join(folder, "refused"))).toBe(false);
});
