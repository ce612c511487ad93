import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLibrary, type Library } from "./library.ts";
import { workshop } from "./library.fixture.ts";
import { recordText } from "./record.ts";
import { writeAdapter } from "./small-adapter.fixture.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar.ts";

const folder = workshop();
const tar = join(folder, "tales.tar");
let library: Library;
let other: Library;
beforeAll(async () => {
  library = await openLibrary(join(folder, "library"), { create: true });
  other = await openLibrary(join(folder, "other"), { create: true });
  await library.add(await writeAdapter(join(folder, "adapter"), 1), {
    name: "team/tales",
    tags: ["a=b"],
    aliases: ["prod"],
    notes: "Good.",
  });
  await library.export("team/tales", tar);
});
afterAll(() => [library, other].forEach((one) => one.close()));

const nothingCame = async (): Promise<void> => {
  expect((await other.search()).total).toBe(0);
  expect(readdirSync(join(other.folder, "aside"))).toEqual([]);
};

describe("an exported adapter", () => {
  it("is refused where it is damaged, cut short or no archive, and nothing comes of it", async () => {
    const sound = readFileSync(tar);
    const path = join(folder, "damaged.tar");
    for (const at of [0, 3, 150, 700, 1024 + 20, sound.length - 2000]) {
      const bytes = Buffer.from(sound);
      bytes[at] ^= 1;
      writeFileSync(path, bytes);
      await expect(other.import(path)).rejects.toMatchObject({ name: "LowrankError" });
    }
    for (const length of [0, 100, 512, 1500, sound.length - 1500]) {
      writeFileSync(path, sound);
      truncateSync(path, length);
      await expect(other.import(path)).rejects.toMatchObject({ code: "invalid-file" });
    }
    await expect(other.import(join(folder, "absent.tar"))).rejects.toMatchObject({ code: "not-found" });
    for (const name of readdirSync(join(other.folder, "aside"))) rmSync(join(other.folder, "aside", name)); // what a next attempt would have gone on from
    await nothingCame();
  });

  it("comes back from an archive and from a folder, with all that is known of it", async () => {
    const record = await library.get("team/tales");
    const unpacked = join(folder, "unpacked");
    expect(await library.export("team/tales:prod", unpacked)).toEqual(record);
    for (const path of [tar, unpacked]) {
      const fresh = await openLibrary(mkdtempSync(join(folder, "fresh-")), { create: true });
      expect(await fresh.import(path)).toMatchObject({ outcome: "new", renumbered: [] });
      expect(await fresh.get("team/tales")).toEqual(record);
      expect(await fresh.import(path)).toMatchObject({ outcome: "present" });
      for await (const finding of fresh.verify()) expect(finding.kind).toBe("sound");
      expect(readdirSync(join(fresh.folder, "aside"))).toEqual([]);
      fresh.close();
    }
    await expect(library.export("team/tales", tar)).rejects.toMatchObject({ code: "invalid-argument" });
    await library.export("team/tales", join(folder, "again.tar"));
    expect(readFileSync(join(folder, "again.tar")).equals(readFileSync(tar))).toBe(true);
  });

  it("is an archive that tar reads, and tar's own is read here", async () => {
    const place = join(folder, "by-tar");
    mkdirSync(place);
    execFileSync("tar", ["-xf", tar, "-C", place]);
    const names = readdirSync(join(place, "team-tales-1")).sort();
    expect(names).toEqual(["adapter_config.json", "adapter_model.safetensors", "record.json"]);
    execFileSync("tar", ["-cf", join(folder, "own.tar"), "-C", join(place, "team-tales-1"), "."]);
    execFileSync("tar", ["--format=pax", "-cf", join(folder, "pax.tar"), "-C", place, "team-tales-1"]);
    for (const name of ["own.tar", "pax.tar"]) {
      const fresh = await openLibrary(mkdtempSync(join(folder, "fresh-")), { create: true });
      expect(await fresh.import(join(folder, name))).toMatchObject({ outcome: "new" });
      fresh.close();
    }
  });
});

/** An archive of these entries, after the three of an adapter or instead of them. */
const archiveOf = async (entries: readonly { name: string; content?: Uint8Array; type?: string; bytes?: number }[]): Promise<string> => {
  const parts = entries.flatMap(({ name, content = new Uint8Array(), type = "0", bytes = content.length }) => {
    const header = tarHeader("placeholder", bytes, new Date(0));
    header.fill(0, 0, 100);
    header.write(name, 0, "latin1");
    header.write(type, 156, "latin1");
    const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    return [header, Buffer.from(content), tarPadding(content.length)];
  });
  const path = join(folder, "hostile.tar");
  writeFileSync(path, Buffer.concat([...parts, tarEnd()]));
  return path;
};

describe("an archive", () => {
  const files = async () => {
    const record = await library.get("team/tales");
    const read = (name: string): Uint8Array => readFileSync(join(library.path(record), name));
    return [
      { name: "t/record.json", content: Buffer.from(recordText(record)) },
      { name: "t/adapter_config.json", content: read("adapter_config.json") },
      { name: "t/adapter_model.safetensors", content: read("adapter_model.safetensors") },
    ];
  };

  it.each<[what: string, entry: { name: string; type?: string; content?: Uint8Array; bytes?: number }]>([
    ["a name that goes up", { name: "t/../../evil" }],
    ["a name that goes up at once", { name: "../record.json" }],
    ["an absolute name", { name: "/etc/passwd" }],
    ["a name with a drive", { name: "C:\\evil" }],
    ["a name with backslashes", { name: "t\\..\\evil" }],
    ["a name with a line end", { name: "t/re\ncord.json" }],
    ["a file that does not belong there", { name: "t/evil.py" }],
    ["a file in a folder below", { name: "t/t/record.json" }],
    ["a file in another folder", { name: "u/record.json" }],
    ["a file that is there twice", { name: "t/record.json", content: Buffer.from("{}") }],
    ["a symbolic link", { name: "t/adapter_config.json", type: "2" }],
    ["a hard link", { name: "t/adapter_config.json", type: "1" }],
    ["a device", { name: "t/null", type: "3" }],
    ["a long name of GNU's", { name: "././@LongLink", type: "L", content: Buffer.from("../evil\0") }],
    ["a size that no file has", { name: "t/huge", bytes: 8 ** 11 - 1 }],
  ])("with %s is refused", async (_, entry) => {
    for (const entries of [[entry], [...(await files()), entry], [entry, ...(await files())]]) {
      await expect(other.import(await archiveOf(entries))).rejects.toMatchObject({ code: "invalid-file" });
    }
    await nothingCame();
  });

  it("without one of its files, or with a record that is none, is refused", async () => {
    const all = await files();
    for (const index of all.keys())
      await expect(other.import(await archiveOf(all.toSpliced(index, 1)))).rejects.toMatchObject({ code: "invalid-file" });
    const [, ...rest] = all;
    const record = await library.get("team/tales");
    for (const content of [
      "{",
      "[]",
      "{}",
      JSON.stringify({ ...record, names: [{ name: "../../up", version: 1, published: "" }] }),
      JSON.stringify({ ...record, digest: "sha256:../../../etc" }),
      JSON.stringify({ ...record, files: { ...record.files, "adapter_config.json": { bytes: 1, sha256: "0".repeat(64) } } }),
      " ".repeat(1_000_001),
    ])
      await expect(
        other.import(await archiveOf([{ name: "t/record.json", content: Buffer.from(content) }, ...rest])),
      ).rejects.toMatchObject({ code: "invalid-file" });
    await nothingCame();
  });

  it("that is a folder with a link or a file too many is refused", async () => {
    const place = join(folder, "linked");
    await library.export("team/tales", place);
    writeFileSync(join(place, "evil"), "x");
    await expect(other.import(place)).rejects.toMatchObject({ code: "invalid-file" });
    rmSync(join(place, "evil"));
    rmSync(join(place, "adapter_config.json"));
    symlinkSync("/etc/hostname", join(place, "adapter_config.json"));
    await expect(other.import(place)).rejects.toMatchObject({ code: "invalid-file" });
    await nothingCame();
  });
});
