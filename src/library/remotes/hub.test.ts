import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startFakeHub, type FakeHub } from "../../../test/fake-hub.ts";
import { openLibrary, type Library } from "../library.ts";
import { workshop } from "../library.fixture.ts";
import { someBase, writeAdapter } from "../small-adapter.fixture.ts";
import { openRemote } from "./open.ts";
import type { Remote } from "./remote.ts";

const folder = workshop();
let number = 0;
let here: Library;
let other: Library;
let hub: FakeHub;
const closing: Library[] = [];
afterAll(() => closing.forEach((library) => library.close()));
beforeEach(async () => {
  number += 1;
  here = await openLibrary(join(folder, `here-${number}`), { create: true });
  other = await openLibrary(join(folder, `other-${number}`), { create: true });
  closing.push(here, other);
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_TOKEN_PATH"]) vi.stubEnv(name, "");
  vi.stubEnv("HF_HOME", folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
});

const remote = (address = "hub:org/tales"): Promise<Remote> =>
  openRemote(address, { endpoint: hub.endpoint, retry: { sleep: () => Promise.resolve(), attempts: 3 } });

const add = async (seed: number, name: string, options: object = {}) =>
  here.add(await writeAdapter(join(folder, `adapter-${seed}`), seed), { name, ...options });

describe("the hub", () => {
  it("takes an adapter with its card and gives it back, and nothing moves twice", async () => {
    hub = await startFakeHub({}, "hf_secret");
    vi.stubEnv("HF_TOKEN", "hf_secret");
    const { record } = await add(1, "tales", { tags: ["language=fr"], metrics: { loss: 0.5 }, aliases: ["prod"], licence: "mit" });
    expect(await here.push(await remote(), { references: ["tales"] })).toMatchObject({
      new: 1,
      moved: record.files["adapter_model.safetensors"].bytes,
    });
    const { files } = hub.models["org/tales"];
    expect(Object.keys(files).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors", "lowrank.json"]);
    expect(String(files["README.md"])).toMatch(/^---\nlibrary_name: peft\nbase_model: org\/base\n/);
    expect(await here.push(await remote(), { references: ["tales"] })).toMatchObject({ new: 0, merged: 0, moved: 0 });
    expect(await other.pull(await remote())).toMatchObject({ new: 1 });
    expect(await other.get("tales:prod")).toEqual(record);
    expect(await other.pull(await remote(), { references: ["tales@1"] })).toMatchObject({ moved: 0 });
    await here.annotate("tales", { addTags: ["later"] });
    expect(await here.push(await remote(), { references: ["tales"] })).toMatchObject({ merged: 1, moved: 0 });
    expect(await other.pull(await remote())).toMatchObject({ merged: 1 });
    expect((await other.get("tales")).tags).toContain("later");
  });

  it.each([
    ["with a digest of its base", someBase],
    ["without one", null],
  ])("gives an adapter that others have put there, %s, with what its card says", async (_, base) => {
    const from = await writeAdapter(join(folder, "foreign"), 5, { base });
    const card =
      "---\nlicense: mit\nlanguage: de\nbase_model: org/small\ntags: [lora, recipes]\nmodel-index: [{name: x, results: [{metrics: [{type: bleu, value: 3}]}]}]\n---\n# Hi\n";
    const file = (name: string): Uint8Array => readFileSync(join(from, name));
    hub = await startFakeHub({
      "org/recipes": {
        commit: "a".repeat(40),
        files: {
          "README.md": Buffer.from(card),
          "adapter_config.json": file("adapter_config.json"),
          "adapter_model.safetensors": file("adapter_model.safetensors"),
        },
      },
    });
    hub.fail("adapter_model.safetensors", { cutAfter: 0 });
    hub.fail("/store/org/recipes/adapter_model.safetensors", { cutAfter: 100 }, { cutAfter: 300 });
    await other.pull(await remote("hf://org/recipes"));
    expect(await other.get("org/recipes@1")).toMatchObject({
      tags: ["language=de", "recipes"],
      metrics: { bleu: 3 },
      licence: "mit",
      lineage: { base, baseName: "org/small", run: "hub:org/recipes" },
      facts: { kind: "LORA", rank: 2, alpha: 4, parameters: 32 },
    });
    expect((await other.add(from, { name: "org/recipes" })).isNew).toBe(false);
    for await (const finding of other.verify()) expect(finding.kind).toBe("sound");
  });

  it("does not believe a record whose files have been changed since", async () => {
    hub = await startFakeHub({});
    await add(1, "tales", { notes: "Of the first." });
    await here.push(await remote(), { references: ["tales"] });
    const changed = readFileSync(join(await writeAdapter(join(folder, "changed"), 7), "adapter_model.safetensors"));
    (hub.models["org/tales"].files as Record<string, Uint8Array>)["adapter_model.safetensors"] = changed;
    await other.pull(await remote());
    expect(await other.get("org/tales")).toMatchObject({ notes: "", lineage: { run: "hub:org/tales" } });
  });

  it.each<[what: string, files: Record<string, Uint8Array>, code: string]>([
    ["no adapter", { "config.json": Buffer.from("{}") }, "not-found"],
    ["no configuration", { "adapter_model.safetensors": Buffer.from("x") }, "not-found"],
    [
      "weights that are none",
      { "adapter_config.json": Buffer.from("{}"), "adapter_model.safetensors": Buffer.from("nothing at all, long enough") },
      "invalid-file",
    ],
    ["names that lead out", { "../evil": Buffer.from("x") }, "invalid-file"],
  ])("with %s is refused", async (_, files, code) => {
    hub = await startFakeHub({ "org/tales": { commit: "b".repeat(40), files } });
    await expect(remote().then((one) => other.pull(one))).rejects.toMatchObject({ code });
    expect((await other.search()).total).toBe(0);
  });

  it("holds one adapter a model, has addresses of its own form, and tells no token", async () => {
    hub = await startFakeHub({}, "hf_right");
    await add(1, "one");
    await add(2, "two");
    vi.stubEnv("HF_TOKEN", "hf_right");
    await expect(remote().then((one) => here.push(one))).rejects.toMatchObject({ code: "invalid-argument" });
    for (const address of ["hub:", "hub:tales", "hub:a/b/c", "hub:../x"])
      await expect(remote(address)).rejects.toMatchObject({ code: "invalid-argument" });
    vi.stubEnv("HF_TOKEN", "hf_wrong");
    const error: unknown = await remote()
      .then((one) => here.push(one, { references: ["one"] }))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "network-failed" });
    expect(String(error)).not.toContain("hf_wrong");
  });
});
