import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { LowrankError } from "../util/index.ts";
import { openLibrary, type Library } from "./library.ts";
import { workshop } from "./library.fixture.ts";
import type { AdapterRecord } from "./record.ts";
import { folderRemote } from "./remotes/folder.ts";
import type { Remote, TransferEvent } from "./remotes/remote.ts";
import { writeAdapter } from "./small-adapter.fixture.ts";

const folder = workshop();
let number = 0;
let here: Library;
let there: Library;
let remote: Remote;
const closing: (() => unknown)[] = [];
afterAll(() => closing.forEach((close) => close()));

beforeEach(async () => {
  number += 1;
  here = await openLibrary(join(folder, `here-${number}`), { create: true });
  there = await openLibrary(join(folder, `there-${number}`), { create: true });
  remote = await folderRemote(there.folder);
  closing.push(
    () => here.close(),
    () => there.close(),
    () => remote.close(),
  );
});

const add = async (library: Library, seed: number, name: string, options: object = {}) =>
  library.add(await writeAdapter(join(folder, `adapter-${seed}`), seed), { name, ...options });

const bytesOf = ({ files }: AdapterRecord): number => Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
const versions = async (library: Library): Promise<string[]> =>
  (await library.search({ everyVersion: true })).entries.map(
    ({ name, version, aliases }) => `${name}@${version}${aliases.map((alias) => `:${alias}`).join("")}`,
  );

const isSound = async (library: Library): Promise<void> => {
  for await (const finding of library.verify()) expect(finding).toMatchObject({ kind: "sound" });
};

describe("pull", () => {
  it("brings adapters with all that is known of them, and nothing twice", async () => {
    const first = await add(there, 1, "tales", { tags: ["language=en"], metrics: { loss: 1 }, aliases: ["prod"], notes: "Good." });
    await add(there, 2, "tales");
    const events: TransferEvent[] = [];
    const summary = await here.pull(remote, { listen: (event) => events.push(event) });
    expect(summary).toMatchObject({ adapters: 2, new: 2, moved: 2 * bytesOf(first.record), renumbered: [] });
    expect(await here.get("tales@1")).toEqual(first.record);
    expect(await versions(here)).toEqual(["tales@2", "tales@1:prod"]);
    expect(events.map(({ type }) => type).filter((type) => type !== "file-progress")).toEqual([
      "adapter-start",
      "adapter-end",
      "adapter-start",
      "adapter-end",
    ]);
    expect(events.findLast((event) => event.type === "file-progress")).toMatchObject({
      file: "adapter_model.safetensors",
      received: expect.any(Number) as number,
    });
    expect(await here.pull(remote)).toMatchObject({ adapters: 2, new: 0, merged: 0, moved: 0 });
    await isSound(here);
    expect(readdirSync(join(here.folder, "aside"))).toEqual([]);
  });

  it("brings what is named, in any way, and says what is not there", async () => {
    await add(there, 1, "tales", { aliases: ["prod"] });
    await add(there, 2, "tales");
    await add(there, 3, "other");
    await here.pull(remote, { references: ["tales:prod"] });
    expect(await versions(here)).toEqual(["tales@1:prod"]);
    await expect(here.pull(remote, { references: ["nobody"] })).rejects.toMatchObject({ code: "not-found", where: there.folder });
  });

  it("gives a version the next number where its own is taken, and keeps what is published", async () => {
    await add(here, 1, "tales");
    await add(there, 2, "tales");
    const { renumbered } = await here.pull(remote);
    expect(renumbered).toEqual([{ from: { name: "tales", version: 1 }, to: { name: "tales", version: 2 } }]);
    expect((await here.get("tales@2")).digest).toBe((await there.get("tales@1")).digest);
    expect(await here.pull(remote)).toMatchObject({ merged: 0 });
  });

  it("takes the later word on an adapter that both have, and the later claim to an alias", async () => {
    await add(here, 1, "tales", { tags: ["mine"], aliases: ["prod"] });
    await add(there, 1, "tales", { tags: ["theirs"] });
    await add(there, 2, "tales", { aliases: ["prod"] });
    expect(await here.pull(remote)).toMatchObject({ new: 1, merged: 1 });
    expect((await here.get("tales@1")).tags).toEqual(["theirs"]);
    expect(await versions(here)).toEqual(["tales@2:prod", "tales@1"]);
    await here.annotate("tales@1", { removeTags: ["theirs"], addTags: ["latest"] });
    await here.setAlias("tales@1", "prod");
    expect(await here.pull(remote)).toMatchObject({ merged: 0 });
    expect((await here.get("tales:prod")).tags).toEqual(["latest"]);
  });

  it("puts whole files in the place of damaged ones, for those that are named", async () => {
    const { record } = await add(there, 1, "tales");
    await here.pull(remote);
    const weights = join(here.path(record), "adapter_model.safetensors");
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1] ^= 1;
    rmSync(weights);
    writeFileSync(weights, bytes);
    expect(await here.pull(remote, { references: ["tales"] })).toMatchObject({ moved: bytesOf(record) });
    await isSound(here);
  });

  const failing = (read: (original: AsyncIterable<Uint8Array>, from: number) => AsyncIterable<Uint8Array>): Remote => ({
    ...remote,
    read: (record, file, from) =>
      file === "adapter_model.safetensors" ? read(remote.read(record, file, from), from) : remote.read(record, file, from),
  });

  it("goes on from where a broken transfer ended", async () => {
    const { record } = await add(there, 1, "tales");
    const { bytes } = record.files["adapter_model.safetensors"];
    const cut = failing(async function* (original) {
      for await (const chunk of original) {
        yield chunk.subarray(0, 100);
        throw new LowrankError("network-failed", "The line is cut.");
      }
    });
    await expect(here.pull(cut)).rejects.toThrow("The line is cut.");
    expect(await here.find("tales")).toBeUndefined();
    const froms: number[] = [];
    const watched = failing((original, from) => (froms.push(from), original));
    expect(await here.pull(watched)).toMatchObject({ new: 1, moved: bytes - 100 + record.files["adapter_config.json"].bytes });
    expect(froms).toEqual([100]);
    await isSound(here);
    expect(readdirSync(join(here.folder, "aside"))).toEqual([]);
  });

  it.each<[what: string, read: Parameters<typeof failing>[0], telling: string]>([
    [
      "other bytes",
      async function* (original) {
        for await (const chunk of original) yield chunk.map((byte) => byte ^ 1);
      },
      "do not match their digest, twice",
    ],
    [
      "too many bytes",
      async function* (original) {
        yield* original;
        yield Buffer.from("more");
      },
      "is longer than the",
    ],
    [
      "too few bytes",
      async function* (original) {
        for await (const chunk of original) yield chunk.subarray(1);
      },
      "ended after",
    ],
  ])("refuses %s, and publishes nothing", async (_, read, telling) => {
    await add(there, 1, "tales");
    await expect(here.pull(failing(read))).rejects.toMatchObject({
      code: "network-failed",
      message: expect.stringContaining(telling) as string,
    });
    expect(await here.find("tales")).toBeUndefined();
    expect((await here.search()).total).toBe(0);
  });

  it("refuses a record that is of other files, or that no disk can hold", async () => {
    const { record } = await add(there, 1, "tales");
    const lying = (change: Partial<AdapterRecord>): Remote => ({
      ...remote,
      records: async function* () {
        yield { ...record, ...change };
      },
      read: (_, file, from) => remote.read(record, file, from),
    });
    await expect(here.pull(lying({ digest: `sha256:${"0".repeat(64)}` }))).rejects.toMatchObject({ code: "invalid-file" });
    const huge = { ...record.files, "adapter_model.safetensors": { bytes: 2 ** 52, sha256: "0".repeat(64) } };
    await expect(here.pull(lying({ files: huge }))).rejects.toMatchObject({
      code: "io-failed",
      message: expect.stringContaining("the disk has") as string,
    });
    expect(readdirSync(join(here.folder, "aside")).filter((name) => !name.endsWith(".partial"))).toEqual([]);
  });
});

describe("push and sync", () => {
  it("take adapters there, and nothing twice", async () => {
    const { record } = await add(here, 1, "tales", { tags: ["a"] });
    expect(await here.push(remote, { references: ["tales@1"] })).toMatchObject({ new: 1, moved: bytesOf(record) });
    expect(await there.get("tales")).toEqual(record);
    expect(await here.push(remote)).toMatchObject({ adapters: 1, new: 0, merged: 0, moved: 0 });
    const { write: _write, ...readOnly } = remote;
    await expect(here.push(readOnly)).rejects.toMatchObject({ code: "unsupported" });
  });

  it("make two libraries hold the same adapters", async () => {
    await add(here, 1, "mine");
    await add(there, 2, "theirs");
    await add(here, 3, "both");
    await add(there, 3, "both");
    const { pulled, pushed } = await here.sync(remote);
    expect([pulled, pushed]).toMatchObject([{ new: 1 }, { new: 1 }]);
    expect(await versions(here)).toEqual(["both@1", "mine@1", "theirs@1"]);
    expect(await versions(there)).toEqual(["both@1", "mine@1", "theirs@1"]);
    expect(await here.sync(remote)).toMatchObject({ pulled: { new: 0, merged: 0, moved: 0 }, pushed: { new: 0, merged: 0, moved: 0 } });
  });

  it("sync what is named on either side", async () => {
    await add(here, 1, "mine");
    await add(there, 2, "theirs");
    await add(there, 3, "other");
    await here.sync(remote, { references: ["mine", "theirs"] });
    expect(await versions(here)).toEqual(["mine@1", "theirs@1"]);
    expect(await versions(there)).toEqual(["mine@1", "other@1", "theirs@1"]);
    await expect(here.sync(remote, { references: ["nobody"] })).rejects.toMatchObject({ code: "not-found" });
  });
});
