import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { someBase, writeAdapter } from "../../../library/small-adapter.fixture.ts";
import { lowrank, lowrankJson, oneLine } from "../command.fixture.ts";

const parent = mkdtempSync(join(tmpdir(), "lowrank-cli-library-"));
const library = join(parent, "library");
const at = (name: string): string => join(parent, name);
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const json = (...words: string[]) => lowrankJson(["library", ...words, "--library", library]);
const say = (words: string[], columns?: number) =>
  lowrank(["library", ...words, "--library", library], columns === undefined ? {} : { columns });

beforeAll(async () => {
  for (const [seed, name] of ["soup", "cake", "mail", "blend"].entries()) await writeAdapter(at(name), seed);
  const soup = await json(
    "add",
    at("soup"),
    "--tag",
    "language=fr",
    "--metric",
    "loss=0.5",
    "--alias",
    "prod",
    "--notes",
    "Hot.",
    "--licence",
    "MIT",
  );
  expect(soup).toMatchObject({
    library,
    added: [{ name: "soup", version: 1, isNew: true, tags: ["language=fr"], metrics: { loss: 0.5 }, licence: "MIT" }],
  });
  await json("add", at("cake"), at("mail"), "--tag", "language=en", "--base", someBase);
  await json(
    "add",
    at("blend"),
    "--name",
    "soup",
    "--parent",
    "cake:0.5",
    "--parent",
    "soup@1:-1",
    "--run",
    "runs/7",
    "--data",
    "27 examples",
  );
});

describe("add", () => {
  it("adds an adapter of the library under another name", async () => {
    expect(await json("add", "soup:prod", "--name", "team/soup")).toMatchObject({
      added: [{ name: "team/soup", version: 1, notes: "Hot." }],
    });
    const { stdout } = await say(["add", at("soup"), "--name", "team/soup"]);
    expect(stdout).toMatch(/^team\/soup@1 {2}sha256:[0-9a-f]{64} {2}\(was there already\)\n$/);
    await json("remove", "team/soup");
  });

  it.each<[what: string, words: string[], telling: string]>([
    ["two adapters of one name", [at("soup"), at("cake"), "--name", "x"], "--name is for one adapter"],
    ["a metric that is no number", [at("soup"), "--metric", "loss=low"], "a metric is given as name=number"],
    ["a name that leads out", [at("soup"), "--name", "../x"], '"../x" cannot be the name of an adapter'],
    ["an unknown parent", [at("soup"), "--parent", "nobody"], "no adapter nobody"],
  ])("refuses %s", async (_, words, telling) => {
    const { code, stderr } = await say(["add", ...words]);
    expect(code).toBe(1);
    expect(oneLine(stderr)).toContain(telling);
  });
});

describe("list and search", () => {
  it.each<[what: string, words: string[], names: string[]]>([
    ["all", ["list"], ["cake@1", "mail@1", "soup@2"]],
    ["every version", ["list", "--all-versions"], ["cake@1", "mail@1", "soup@2", "soup@1"]],
    ["those of a tag", ["list", "--tag", "language=en", "--limit", "0"], ["cake@1", "mail@1"]],
    ["those of a base and a metric", ["list", "--base", "org/base", "--metric", "loss<1"], ["soup@1"]],
    ["those with words", ["search", "hot", "SOU"], ["soup@1"]],
    ["one page", ["list", "--limit", "1"], ["cake@1"]],
  ])("show %s", async (_, words, names) => {
    const { entries } = (await json(...words)) as { entries: { name: string; version: number }[] };
    expect(entries.map(({ name, version }) => `${name}@${version}`)).toEqual(names);
  });

  it("fit the terminal", async () => {
    for (const columns of [40, 80, 120]) {
      const { stdout } = await say(["list", "--all-versions"], columns);
      const lines = stdout.trimEnd().split("\n");
      expect(lines).toHaveLength(6);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    }
    expect((await say(["list", "--limit", "2"])).stdout).toMatch(/\n2 of 3; see more with --limit\.\n$/);
    expect((await say(["search", "nothing"])).stdout).toBe("No adapter of this library fits.\n");
  });
});

it("show tells all that is known", async () => {
  const { stdout } = await say(["show", "soup"]);
  for (const line of [
    /^names {8}soup@2$/m,
    /^kind {9}LORA, r 2, α 4$/m,
    /^size {9}.* B, 32 parameters$/m,
    /^base {9}org\/base {2}sha256:b+$/m,
    /^composed of {2}0.5 × cake \+ -1 × soup@1$/m,
    /^run {10}runs\/7$/m,
    /^data {9}27 examples$/m,
  ])
    expect(stdout).toMatch(line);
  expect(stdout).not.toContain("licence");
  const { code, stderr } = await say(["show", "soap"], 120);
  expect([code, oneLine(stderr)]).toEqual([1, expect.stringContaining("The library has no adapter soap.")]);
});

it("tag changes what is said", async () => {
  const { stdout } = await say(["tag", "cake", "sweet", "--remove", "language=en", "--metric", "bleu=31.5", "--notes", "Rich."]);
  expect(stdout).toBe("cake: sweet; bleu 31.50\n");
  expect(await json("show", "cake")).toMatchObject({ tags: ["sweet"], metrics: { bleu: 31.5 }, notes: "Rich." });
  await json("tag", "cake", "--remove-metric", "bleu");
  expect(await json("show", "cake")).toMatchObject({ metrics: {} });
});

it("alias lets a word stand for a version, and takes it away", async () => {
  expect((await say(["alias", "soup@2", "next"])).stdout).toBe("soup:next stands for soup@2.\n");
  expect(await json("show", "soup:next")).toMatchObject({ lineage: { run: "runs/7" } });
  expect((await say(["alias", "soup:next", "--remove"])).stdout).toBe("soup:next stands for nothing now.\n");
  expect((await say(["show", "soup:next"])).code).toBe(1);
  expect(oneLine((await say(["alias", "soup@2"])).stderr)).toContain("No alias is given.");
});

it("remove, gc and verify agree on what is there", async () => {
  await writeAdapter(at("gone"), 9);
  await json("add", at("gone"));
  const { path } = await json("show", "gone");
  expect((await say(["remove", "gone"])).stdout).toBe("removed gone@1\nThe files stay until `lowrank library gc`.\n");
  expect((await say(["gc", "--dry-run"])).stdout).toMatch(/^adapter {2}sha256:[0-9a-f]+ {2}[\d.]+ k?B\nWould free .* in 1 places\.\n$/);
  expect((await say(["gc"])).stdout).toContain("Freed");
  expect(await json("verify")).toMatchObject({ sound: 4, damaged: 0, findings: [] });

  const weights = join(((await json("show", "mail")) as { path: string }).path, "adapter_model.safetensors");
  const bytes = readFileSync(weights);
  bytes[200] ^= 4;
  rmSync(weights);
  writeFileSync(weights, bytes);
  const { code, stdout, stderr } = await say(["verify"]);
  expect(code).toBe(1);
  expect(stdout).toContain("adapter_model.safetensors is not the file that was published");
  expect(stderr).toContain("puts whole files in their place");
  await json("add", at("mail"));
  expect((await say(["verify", "mail"])).stdout).toMatch(/^1 sound \(.* read\), 0 damaged\.\n$/);
  expect(path).toContain(library);
});

it("diff shows what is said, the settings, and each module's cosine", async () => {
  const { stdout } = await say(["diff", "soup@1", "soup"]);
  expect(stdout).toMatch(/^metric loss: 0.5 → –$/m);
  expect(stdout).toMatch(/^notes: Hot\. → $/m);
  expect(stdout).toMatch(/^model\.layers\.0\.self_attn\.q_proj +-?0\.\d{3} +\d/m);
  expect((await say(["diff", "soup", "soup"])).stdout).toContain("their configurations are equal");
});

it("export and import carry an adapter from library to library", async () => {
  const [archive, other] = [at("soup.tar"), at("other")];
  expect((await say(["export", "soup@1", "--output", archive])).stdout).toContain(`soup@1 in ${archive}`);
  const there = (words: string[]) => lowrank(["library", ...words, "--library", other]);
  expect((await there(["import", archive])).stdout).toMatch(/^soup@1 {2}new, \d+ B\n$/);
  expect((await there(["import", archive])).stdout).toBe("soup@1  there already\n");
  await say(["export", "soup@2", "--output", at("folder")]);
  await there(["remove", "soup@1"]);
  await there(["add", at("cake"), "--name", "soup"]);
  expect((await there(["import", at("folder")])).stdout).toMatch(
    /^soup@2 {2}new, \d+ B\n {2}soup@2 was taken by another adapter; this one became soup@3\.\n$/,
  );
});

it("push, pull and sync move what is missing", async () => {
  const there = at("there");
  const pushed = await say(["push", there, "soup@1"]);
  expect(pushed.stdout).toMatch(/^soup@1 {2}new, \d+ B\n1 adapters to .*there: 1 new, 0 known better now, \d+ B\.\n$/);
  expect(await json("push", there)).toMatchObject({ remote: there, adapters: 4, new: 3 });
  const fresh = at("fresh");
  expect(await lowrankJson(["library", "pull", there, "cake", "--library", fresh])).toMatchObject({ adapters: 1, new: 1 });
  expect(await lowrankJson(["library", "sync", there, "--library", fresh])).toMatchObject({
    pulled: { new: 3 },
    pushed: { new: 0, moved: 0 },
  });
  const { code, stderr } = await lowrank(["library", "pull", at("nowhere"), "--library", fresh]);
  expect([code, oneLine(stderr)]).toEqual([1, expect.stringContaining("There is no library.")]);
});

it("rebuild counts what it found", async () => {
  expect((await say(["rebuild", "--catalogue"])).stdout).toMatch(/^4 versions in .*\.\nThe catalogue names 4 adapters\.\n$/);
  expect(readFileSync(join(library, "catalogue.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(4);
});

it("without a library says how to begin", async () => {
  mkdirSync(at("empty"));
  const { code, stderr } = await lowrank(["library", "list", "--library", at("empty")]);
  expect(code).toBe(1);
  expect(oneLine(stderr)).toContain("Add a first adapter with `lowrank library add`");
});
