import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { readPeftAdapter } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import { openLibrary, type AddOptions, type Library } from "./library.ts";
import { workshop } from "./library.fixture.ts";
import { someBase, writeAdapter, type AdapterOptions } from "./small-adapter.fixture.ts";
import type { Finding } from "./verify.ts";

const folder = workshop();
let number = 0;
let library: Library;
const opened: Library[] = [];

const open = async (path: string): Promise<Library> => {
  const one = await openLibrary(path, { create: true });
  opened.push(one);
  return one;
};

beforeEach(async () => {
  library = await open(join(folder, `library-${number++}`));
});
afterAll(() => opened.forEach((one) => one.close()));

const adapter = (seed: number, options?: AdapterOptions): Promise<string> => writeAdapter(join(folder, `adapter-${seed}`), seed, options);
const add = async (seed: number, name: string, options: object = {}) => library.add(await adapter(seed), { name, ...options });

const problems = async (...references: string[]): Promise<Finding[]> => {
  const found: Finding[] = [];
  for await (const finding of library.verify(references.length === 0 ? undefined : references))
    if (finding.kind !== "sound") found.push(finding);
  return found;
};

const failure = async (promise: Promise<unknown>): Promise<LowrankError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!LowrankError.is(error)) throw new Error(`Expected a LowrankError, got ${String(error)}`);
  return error;
};

describe("add", () => {
  it("keeps an adapter as PEFT reads it, byte for byte, with what was said of it", async () => {
    const from = await adapter(1);
    const { record, version, isNew } = await library.add(from, {
      name: "tales",
      aliases: ["prod"],
      tags: ["language=en", "best"],
      metrics: { loss: 0.5 },
      lineage: { run: "runs/7", data: "27 examples", parents: [{ digest: someBase, weight: 0.5 }] },
      licence: "MIT",
      notes: "First try.",
    });
    expect(isNew).toBe(true);
    expect(version).toMatchObject({ name: "tales", version: 1 });
    expect(record).toMatchObject({
      names: [version],
      aliases: [{ name: "tales", alias: "prod" }],
      tags: ["best", "language=en"],
      metrics: { loss: 0.5 },
      lineage: { base: someBase, baseName: "org/base", run: "runs/7", data: "27 examples", parents: [{ digest: someBase, weight: 0.5 }] },
      licence: "MIT",
      notes: "First try.",
      facts: { kind: "LORA", rank: 2, alpha: 4, parameters: 32 },
    });
    for (const name of readdirSync(from)) expect(readFileSync(join(library.path(record), name))).toEqual(readFileSync(join(from, name)));
    expect((await readPeftAdapter(library.path(record))).metadata["lowrank.base"]).toBe(someBase);
    expect(await library.get("tales")).toEqual(record);
    expect(await problems()).toEqual([]);
    expect(readdirSync(join(library.folder, "aside"))).toEqual([]);
  });

  it("gives the next version to another adapter, and none to the same one, whose facts are merged", async () => {
    const first = await add(1, "tales", { tags: ["a"], metrics: { loss: 1 } });
    expect((await add(2, "tales")).version.version).toBe(2);
    const again = await add(1, "tales", { tags: ["b"], metrics: { bleu: 2 }, notes: "Better known." });
    expect(again).toMatchObject({ isNew: false, version: first.version });
    expect(again.record).toMatchObject({ tags: ["a", "b"], metrics: { loss: 1, bleu: 2 }, notes: "Better known." });
    const elsewhere = await add(1, "other/name");
    expect(elsewhere.record.digest).toBe(first.record.digest);
    expect(elsewhere.record.names.map(({ name, version }) => `${name}@${version}`)).toEqual(["tales@1", "other/name@1"]);
  });

  it("takes the base from the files or from the caller, but not two of them", async () => {
    const foreign = await adapter(3, { base: null });
    expect((await library.add(foreign, { name: "foreign" })).record.lineage.base).toBeNull();
    const given = await library.add(foreign, { name: "known", base: someBase });
    expect(given.record.lineage.base).toBe(someBase);
    const other = `sha256:${"e".repeat(64)}`;
    expect(await failure(library.add(await adapter(4), { name: "x", base: other }))).toMatchObject({ code: "adapter-mismatch" });
  });

  it.each<[what: string, options: AdapterOptions, change: (folder: string) => void, code: string, telling: string]>([
    ["no effect", { scale: 0 }, () => undefined, "adapter-mismatch", "every B is zero"],
    ["no weights", {}, (at) => rmSync(join(at, "adapter_model.safetensors")), "not-found", "no adapter_model.safetensors"],
    ["no configuration", {}, (at) => rmSync(join(at, "adapter_config.json")), "not-found", "no adapter_config.json"],
    ["another configuration", { config: { peft_type: null } }, () => undefined, "invalid-config", "peft_type"],
    ["a configuration that is no JSON", {}, (at) => writeFileSync(join(at, "adapter_config.json"), "{"), "invalid-file", "JSON"],
    ["weights that are cut short", {}, (at) => writeFileSync(join(at, "adapter_model.safetensors"), "short"), "invalid-file", "too few"],
    [
      "weights with something behind them",
      {},
      (at) => appendFileSync(join(at, "adapter_model.safetensors"), "x"),
      "invalid-file",
      "belong to no tensor",
    ],
  ])("refuses an adapter with %s, and leaves nothing", async (_, options, change, code, telling) => {
    const from = await writeAdapter(join(folder, "bad"), 9, options);
    change(from);
    const error = await failure(library.add(from, { name: "bad" }));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(telling);
    expect(readdirSync(join(library.folder, "aside"))).toEqual([]);
    expect((await library.search()).total).toBe(0);
  });

  it.each<AddOptions>([
    { name: "../up" },
    { name: "a", aliases: ["latest"] },
    { name: "a", tags: ["a\nb"] },
    { name: "a", metrics: { loss: Number.NaN } },
    { name: "a", metrics: { "": 1 } },
  ])("refuses %j before it reads anything", async (options) => {
    expect(await failure(library.add("nowhere", options))).toMatchObject({ code: "invalid-argument" });
  });

  it("trusts no files that a broken writer left in an adapter's place", async () => {
    const { record } = await add(1, "whole");
    const other = await open(join(folder, "left"));
    mkdirSync(other.path(record), { recursive: true });
    writeFileSync(join(other.path(record), "adapter_model.safetensors"), "half");
    await other.add(await adapter(1), { name: "tales" });
    for await (const finding of other.verify()) expect(finding).toMatchObject({ kind: "sound", what: "tales@1" });
    expect(readdirSync(other.path(record))).toHaveLength(2);
  });

  it("says that the library cannot be written, and leaves it as it was", async () => {
    const { record } = await add(1, "tales");
    const path = join(folder, "taken.tar");
    await library.export("tales", path);
    const closed = await open(join(folder, "closed"));
    rmSync(join(closed.folder, "aside"), { recursive: true });
    writeFileSync(join(closed.folder, "aside"), "no folder");
    const refusal = { code: "io-failed", where: closed.folder };
    expect(await failure(closed.add(library.path(record), { name: "tales" }))).toMatchObject(refusal);
    expect(await failure(closed.import(path))).toMatchObject(refusal);
    expect((await closed.search()).total).toBe(0);
  });

  it("refuses more words than a record may have, and changes nothing", async () => {
    expect(await failure(add(1, "tales", { notes: "n".repeat(1_000_001) }))).toMatchObject({ code: "invalid-argument", where: "tales@1" });
    expect((await library.search()).total).toBe(0);
    await add(1, "tales");
    expect(await failure(library.annotate("tales", { notes: "n".repeat(1_000_001) }))).toMatchObject({ code: "invalid-argument" });
    expect((await library.get("tales")).notes).toBe("");
    expect(await problems()).toEqual([]);
  });

  it("puts whole files in the place of damaged ones", async () => {
    const { record } = await add(1, "tales");
    const weights = join(library.path(record), "adapter_model.safetensors");
    rmSync(weights);
    writeFileSync(weights, "damaged");
    expect(await problems()).toHaveLength(1);
    await add(1, "tales");
    expect(await problems()).toEqual([]);
  });
});

describe("names", () => {
  beforeEach(async () => {
    for (const seed of [1, 2, 3]) await add(seed, "tales");
  });

  it.each([
    ["tales", 3],
    ["tales:latest", 3],
    ["tales@1", 1],
  ])("%s is version %i", async (reference, version) => {
    expect((await library.get(reference)).names[0].version).toBe(version);
  });

  it("are found by the first digits of a digest, if those tell them apart", async () => {
    const { digest } = await library.get("tales@2");
    expect((await library.get(digest)).digest).toBe(digest);
    expect((await library.get(digest.slice(0, 20))).digest).toBe(digest);
    expect(await library.find("sha256:ffffffffffff")).toBeUndefined();
  });

  it("that are not there are errors that say what is", async () => {
    expect((await failure(library.get("tales@7"))).message).toContain("no adapter tales@7. There is tales@3, tales@2, tales@1.");
    expect((await failure(library.get("tale"))).message).toContain("There is tales.");
    expect((await failure(library.get("x"))).message).toContain("See `lowrank library list`.");
    expect((await failure(library.get("a b"))).message).toContain("names no adapter");
  });

  it("keep their aliases on one version at a time", async () => {
    await library.setAlias("tales@1", "prod");
    await library.setAlias("tales@2", "prod");
    expect((await library.get("tales:prod")).names[0].version).toBe(2);
    expect((await library.get("tales@1")).aliases).toEqual([]);
    const { entries } = await library.search({ everyVersion: true });
    expect(entries.map(({ aliases }) => aliases)).toEqual([[], ["prod"], []]);
    await library.removeAlias("tales", "prod");
    expect(await failure(library.removeAlias("tales", "prod"))).toMatchObject({ code: "not-found" });
    expect(await failure(library.setAlias("sha256:abcdef", "prod"))).toMatchObject({ code: "invalid-argument" });
  });

  it("take the later of two claims where a move was broken off", async () => {
    await library.setAlias("tales@1", "prod");
    const old = await library.get("tales@1");
    const path = `${library.path(old)}.json`;
    const before = readFileSync(path);
    await library.setAlias("tales@3", "prod");
    writeFileSync(path, before); // as if the second write had not come
    await library.rebuild();
    expect((await library.get("tales:prod")).names[0].version).toBe(3);
    expect((await library.search({ everyVersion: true })).entries.map(({ aliases }) => aliases)).toEqual([["prod"], [], []]);
    await library.removeAlias("tales", "prod");
    expect(await library.find("tales:prod")).toBeUndefined();
  });
});

it("annotate changes what is said", async () => {
  await add(1, "tales", { tags: ["a", "b"], metrics: { loss: 1, bleu: 2 } });
  const record = await library.annotate("tales", {
    addTags: ["c"],
    removeTags: ["a"],
    metrics: { loss: 0.5 },
    removeMetrics: ["bleu"],
    licence: "MIT",
    notes: "Good.",
  });
  expect(record).toMatchObject({ tags: ["b", "c"], metrics: { loss: 0.5 }, licence: "MIT", notes: "Good." });
  expect(await library.get("tales")).toEqual(record);
  expect((await library.search({ tags: ["a"] })).total).toBe(0);
  expect((await library.search({ text: "good" })).total).toBe(1);
});

describe("remove and collect", () => {
  const collected = async (options?: object) => {
    const all = [];
    for await (const one of library.collect(options)) all.push(`${one.kind} ${one.bytes}`);
    return all;
  };

  it("take a version out, free its space later, and never give its number again", async () => {
    for (const seed of [1, 2]) await add(seed, "tales", { aliases: ["prod"] });
    const record = await library.get("tales@2");
    expect(await failure(library.remove("tales"))).toMatchObject({ code: "invalid-argument" });
    expect(await library.remove("tales@2")).toEqual([{ name: "tales", version: 2 }]);
    expect((await library.get("tales")).names[0].version).toBe(1);
    expect(await library.find("tales:prod")).toBeUndefined();
    expect((await failure(library.get("tales@2"))).message).toContain("It was removed. There is tales@1.");
    expect(existsSync(library.path(record))).toBe(true);

    const bytes = readdirSync(library.path(record)).reduce((sum, name) => sum + statSync(join(library.path(record), name)).size, 0);
    expect(await collected({ dryRun: true })).toEqual([`adapter ${bytes}`]);
    expect(existsSync(library.path(record))).toBe(true);
    expect(await collected()).toEqual([`adapter ${bytes}`]);
    expect(existsSync(library.path(record))).toBe(false);
    expect(await collected()).toEqual([]);
    expect(await problems()).toEqual([]);

    expect((await add(3, "tales")).version.version).toBe(3);
    expect((await add(2, "tales")).version.version).toBe(2); // the same adapter comes back under its number
    expect(await problems()).toEqual([]);
  });

  it("take every version of a name, and of a digest every name", async () => {
    for (const seed of [1, 2]) await add(seed, "tales");
    await add(1, "other");
    expect(await library.remove("tales", { everyVersion: true })).toHaveLength(2);
    expect((await library.search()).entries.map(({ name }) => name)).toEqual(["other"]);
    expect(await library.remove((await library.get("other")).digest)).toEqual([{ name: "other", version: 1 }]);
    expect(await collected()).toHaveLength(2);
  });

  it("collect what broken writers left, and nothing that is still being written", async () => {
    const { record } = await add(1, "tales");
    mkdirSync(join(library.folder, "aside", "half"));
    writeFileSync(join(library.folder, "aside", "half", "adapter_model.safetensors"), "half");
    const orphan = library.path({ digest: `${record.digest.slice(0, -4)}0000` });
    cpSync(library.path(record), orphan, { recursive: true });
    expect((await problems()).map(({ kind }) => kind)).toEqual(["orphan", "leftover"]);
    expect((await collected()).map((one) => one.split(" ")[0])).toEqual(["orphan"]);
    expect(await collected({ leftAfter: 0 })).toEqual(["leftover 4"]);
    expect(await problems()).toEqual([]);
  });
});

describe("verify", () => {
  it.each<[what: string, damage: (place: string) => void, telling: string]>([
    [
      "a flipped bit in the weights",
      (place) => {
        const path = join(place, "adapter_model.safetensors");
        const bytes = readFileSync(path);
        bytes[bytes.length - 3] ^= 1;
        rmSync(path);
        writeFileSync(path, bytes);
      },
      "its digest differs",
    ],
    [
      "a changed configuration",
      (place) => {
        const path = join(place, "adapter_config.json");
        const text = readFileSync(path, "utf8").replace('"r": 2', '"r": 3');
        rmSync(path);
        writeFileSync(path, text);
      },
      "its digest differs",
    ],
    [
      "weights that are cut short",
      (place) => (rmSync(join(place, "adapter_model.safetensors")), writeFileSync(join(place, "adapter_model.safetensors"), "x")),
      "has 1 bytes where",
    ],
    ["a missing file", (place) => rmSync(join(place, "adapter_config.json")), "adapter_config.json is missing"],
    ["a missing folder", (place) => rmSync(place, { recursive: true }), "adapter_model.safetensors is missing"],
    ["a file too many", (place) => writeFileSync(join(place, "evil.bin"), "x"), "evil.bin does not belong there"],
    ["a damaged record", (place) => writeFileSync(`${place}.json`, "{"), "cannot be read"],
    [
      "a record of another adapter",
      (place) =>
        writeFileSync(
          `${place}.json`,
          readFileSync(`${place}.json`, "utf8")
            .replace(/"sha256:/, '"sha256:0')
            .replace(/0"/, '"'),
        ),
      "",
    ],
  ])("finds %s, and says nothing of the others", async (_, damage, telling) => {
    const { record } = await add(1, "tales");
    await add(2, "sound");
    damage(library.path(record));
    const found = await problems();
    expect(found.filter(({ kind }) => kind === "damaged")).toHaveLength(1);
    expect(found[0].problems.join(" ")).toContain(telling);
    expect(await problems("sound")).toEqual([]);
  });
});

describe("the index", () => {
  it("takes in what was copied into the folder, changed and removed behind its back", async () => {
    const { record } = await add(1, "tales");
    const other = await open(join(folder, "copy"));
    cpSync(join(library.folder, "adapters"), join(other.folder, "adapters"), { recursive: true });
    expect((await other.search()).entries.map(({ name }) => name)).toEqual(["tales"]);
    await other.annotate("tales", { addTags: ["new"] });
    const path = `${other.path(record)}.json`;
    cpSync(path, `${path}.edited`);
    writeFileSync(`${path}.edited`, readFileSync(path, "utf8").replace('"new"', '"newer"'));
    cpSync(`${path}.edited`, path);
    rmSync(`${path}.edited`);
    expect((await other.search({ tags: ["newer"] })).total).toBe(1);
    rmSync(path);
    expect((await other.search()).total).toBe(0);
    rmSync(join(other.folder, "adapters"), { recursive: true });
    expect((await other.search()).total).toBe(0);
  });

  it.each<[what: string, damage: (path: string) => void]>([
    ["is gone", (path) => rmSync(path)],
    ["is no database", (path) => writeFileSync(path, "Not a database at all.".repeat(1000))],
    ["is empty", (path) => writeFileSync(path, "")],
    [
      "has overwritten pages",
      (path) => {
        const bytes = readFileSync(path);
        bytes.fill(0x55, 4096);
        writeFileSync(path, bytes);
      },
    ],
  ])("is made anew where it %s", async (_, damage) => {
    await add(1, "tales");
    library.close();
    const index = join(library.folder, "index");
    for (const name of readdirSync(index))
      if (name.endsWith(".sqlite")) damage(join(index, name));
      else rmSync(join(index, name));
    library = await open(library.folder);
    expect((await library.search({ text: "tales" })).total).toBe(1);
    expect((await add(2, "tales")).version.version).toBe(2);
    expect(await problems()).toEqual([]);
  });

  it("lies in the cache where it cannot lie beside the adapters", async () => {
    await add(1, "tales");
    library.close();
    rmSync(join(library.folder, "index"), { recursive: true });
    writeFileSync(join(library.folder, "index"), "no folder");
    library = await open(library.folder);
    expect((await library.search()).total).toBe(1);
    expect(readdirSync(join(process.env["LOWRANK_CACHE"]!, "library"))).toHaveLength(1);
  });

  it("is made anew where a folder, an empty file or another's number is in its place", async () => {
    await add(1, "tales");
    library.close();
    for (const [name, make] of [
      ["41.sqlite", (path: string) => mkdirSync(join(path, "x"), { recursive: true })],
      ["42.sqlite", (path: string) => writeFileSync(path, "")],
      [`${"9".repeat(30)}.sqlite`, (path: string) => writeFileSync(path, "none of ours")],
    ] as const) {
      make(join(library.folder, "index", name));
      const again = await open(library.folder);
      expect((await again.search()).total, name).toBe(1);
      await again.setAlias("tales@1", "prod");
      again.close();
    }
  });

  it.skipIf(process.platform === "win32")("waits for no pipe and reads no endless file in a record's place", async () => {
    const { record } = await add(1, "tales");
    const others = ["0", "1"].map((digit) => `${library.path(record).slice(0, -1)}${record.digest.endsWith(digit) ? "2" : digit}.json`);
    execFileSync("mkfifo", [others[0]]);
    writeFileSync(others[1], " ".repeat(1_000_001));
    expect(await library.search()).toMatchObject({ total: 1, unreadable: 2 });
    const found = (await problems()).flatMap((finding) => finding.problems).join();
    expect(found).toContain("it is not a file");
    expect(found).toContain("1000001 bytes");
  });

  it("tells of records that it cannot read", async () => {
    const { record } = await add(1, "tales");
    writeFileSync(`${library.path(record)}.json.aside`, "{");
    cpSync(`${library.path(record)}.json.aside`, `${library.path(record)}.json`);
    expect(await library.search()).toMatchObject({ total: 0, unreadable: 1 });
  });
});

describe("a folder that is no library", () => {
  it("is not found, made where that is asked for, and never taken from others", async () => {
    const path = join(folder, "new", "library");
    expect(await failure(openLibrary(path))).toMatchObject({ code: "not-found", where: path });
    (await open(path)).close();
    await openLibrary(path).then((one) => one.close());
    const full = join(folder, "full");
    mkdirSync(full);
    writeFileSync(join(full, "thesis.txt"), "mine");
    expect(await failure(openLibrary(full, { create: true }))).toMatchObject({ code: "invalid-argument" });
    expect(readdirSync(full)).toEqual(["thesis.txt"]);
  });

  it.each([
    ['{"format":"lowrank-library","version":2}', "unsupported"],
    ['{"format":"other"}', "invalid-file"],
    ["{", "invalid-file"],
  ])("has the marker %s", async (marker, code) => {
    const path = join(folder, "marked");
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "library.json"), marker);
    expect(await failure(openLibrary(path))).toMatchObject({ code });
  });
});
