import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { openLibrary, type Library } from "./library.ts";
import { workshop } from "./library.fixture.ts";
import { someBase, writeAdapter } from "./small-adapter.fixture.ts";
import { parseMetricBound, type LibraryQuery } from "./search.ts";

const folder = workshop();
const otherBase = `sha256:${"e".repeat(64)}`;
let library: Library;

beforeAll(async () => {
  library = await openLibrary(join(folder, "library"), { create: true });
  const add = async (seed: number, name: string, tags: string[], loss: number | undefined, base = someBase, notes = ""): Promise<void> => {
    const from = await writeAdapter(join(folder, "from"), seed, {
      base,
      config: { base_model_name_or_path: base === someBase ? "org/Base" : "org/other" },
    });
    await library.add(from, { name, tags, metrics: loss === undefined ? {} : { loss }, notes });
  };
  await add(1, "team/soup", ["language=fr", "domain=food"], 1.5, someBase, "Soupe à l'oignon for four");
  await add(2, "team/soup", ["language=fr", "domain=food", "best"], 0.5);
  await add(3, "letters", ["language=en"], 0.7);
  await add(4, "sms-spam_2", ["language=en", "domain=mail"], undefined, otherBase);
});

describe("search", () => {
  it.each<[what: string, query: LibraryQuery, found: string[]]>([
    ["everything by name, the highest version of each", {}, ["letters@1", "sms-spam_2@1", "team/soup@2"]],
    ["every version", { everyVersion: true }, ["letters@1", "sms-spam_2@1", "team/soup@2", "team/soup@1"]],
    ["a tag", { tags: ["language=en"] }, ["letters@1", "sms-spam_2@1"]],
    ["a tag's key", { tags: ["domain"] }, ["sms-spam_2@1", "team/soup@2"]],
    ["a plain tag", { tags: ["best"] }, ["team/soup@2"]],
    ["several tags", { tags: ["language=en", "domain=mail"] }, ["sms-spam_2@1"]],
    ["no tag of this value", { tags: ["language=de"] }, []],
    ["a base by its name, in any case", { base: "ORG/base" }, ["letters@1", "team/soup@2"]],
    ["a base by its digest", { base: otherBase }, ["sms-spam_2@1"]],
    ["a base by its digits", { base: "eeee" }, ["sms-spam_2@1"]],
    ["a base by what LIKE would take for anything", { base: "%" }, []],
    ["a metric", { metrics: [parseMetricBound("loss<0.6")] }, ["team/soup@2"]],
    ["the older version where only that fits", { metrics: [parseMetricBound("loss>1")] }, ["team/soup@1"]],
    [
      "a metric between",
      { metrics: [parseMetricBound("loss>=0.5"), parseMetricBound("loss<=0.7")], everyVersion: true },
      ["letters@1", "team/soup@2"],
    ],
    ["the lowest of a metric first, those without it last", { sort: "loss" }, ["team/soup@2", "letters@1", "sms-spam_2@1"]],
    ["the highest first", { sort: "-loss", everyVersion: true }, ["team/soup@1", "letters@1", "team/soup@2", "sms-spam_2@1"]],
    ["words of a name, each as a beginning", { text: "SPAM sm" }, ["sms-spam_2@1"]],
    ["words of the notes, without their accents", { text: "soupe a oignon" }, ["team/soup@1"]],
    ["words of tags", { text: "food" }, ["team/soup@2"]],
    ["an operator as a word", { text: 'soup" OR letters*' }, []],
    ["no word at all", { text: "—" }, ["letters@1", "sms-spam_2@1", "team/soup@2"]],
    ["a text and a tag", { text: "team", tags: ["best"] }, ["team/soup@2"]],
    ["a page", { limit: 1, offset: 1 }, ["sms-spam_2@1"]],
  ])("finds %s", async (_, query, found) => {
    const { entries, total } = await library.search(query);
    expect(entries.map(({ name, version }) => `${name}@${version}`)).toEqual(found);
    expect(total).toBe(query.limit === undefined ? found.length : 3);
  });

  it("puts the newest first by the time of creation", async () => {
    const { entries } = await library.search({ sort: "created", everyVersion: true });
    expect(entries.map(({ created }) => created)).toEqual(
      entries
        .map(({ created }) => created)
        .toSorted()
        .toReversed(),
    );
  });

  it("says what a list shows", async () => {
    const { entries } = await library.search({ text: "letters" });
    expect(entries[0]).toMatchObject({
      kind: "LORA",
      rank: 2,
      alpha: 4,
      parameters: 32,
      base: someBase,
      baseName: "org/Base",
      tags: ["language=en"],
      metrics: { loss: 0.7 },
      aliases: [],
    });
  });
});

it.each(["loss", "<1", "loss<", "loss<x", "loss!1"])("%j compares no metric", (text) => {
  expect(() => parseMetricBound(text)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
});
