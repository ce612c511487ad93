import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { LowrankError } from "../util/index.ts";
import { openLibrary, type Library } from "./library.ts";
import { workshop } from "./library.fixture.ts";
import { someBase, writeAdapter } from "./small-adapter.fixture.ts";
import { resolveAdapter, type ResolveAdapterOptions } from "./resolve.ts";

const folder = workshop();
const otherBase = `sha256:${"e".repeat(64)}`;
let library: Library;
let digest: string;

beforeAll(async () => {
  library = await openLibrary(join(folder, "library"), { create: true });
  for (const seed of [1, 2])
    digest = (await library.add(await writeAdapter(join(folder, `a${seed}`), seed), { name: "team/tales" })).record.digest;
  await library.setAlias("team/tales@1", "prod");
});

const resolve = (reference: string, options: ResolveAdapterOptions = {}) =>
  resolveAdapter(reference, { library: library.folder, download: (name) => Promise.resolve(`hub/${name}`), ...options });

const failure = (promise: Promise<unknown>): Promise<LowrankError> =>
  promise.then(
    () => Promise.reject(new Error("It did not fail.")),
    (error: unknown) => (LowrankError.is(error) ? error : Promise.reject(new Error(String(error)))),
  );

describe("resolveAdapter", () => {
  it.each([
    ["team/tales", 2],
    ["team/tales@1", 1],
    ["team/tales:prod", 1],
    ["team/tales:latest", 2],
  ])("finds %s in the library", async (reference, version) => {
    const { directory, record } = await resolve(reference, { baseDigest: someBase });
    expect(record?.names[0].version).toBe(version);
    expect(readFileSync(join(directory, "adapter_model.safetensors"))).toEqual(
      readFileSync(join(folder, `a${version}`, "adapter_model.safetensors")),
    );
  });

  it("finds a digest, whole or its beginning", async () => {
    expect((await resolve(digest)).record?.digest).toBe(digest);
    expect((await resolve(digest.slice(0, 17))).record?.digest).toBe(digest);
  });

  it("takes a folder first, and asks the hub for what the library has not", async () => {
    expect(await resolve(join(folder, "a1"))).toEqual({ directory: join(folder, "a1") });
    expect(await resolve("org/other")).toEqual({ directory: "hub/org/other" });
    expect(await resolve("team/tales", { library: join(folder, "absent") })).toEqual({ directory: "hub/team/tales" });
  });

  it.each(["team/tales@3", "team/tales:next", "sha256:ffffff"])("asks nobody else for %s", async (reference) => {
    expect(await failure(resolve(reference))).toMatchObject({ code: "not-found", where: library.folder });
  });

  it("refuses an adapter of another base by its name, unless told otherwise", async () => {
    const error = await failure(resolve("team/tales", { baseDigest: otherBase }));
    expect(error).toMatchObject({ code: "adapter-mismatch", where: "team/tales@2" });
    expect(error.message).toContain("trained on the base sha256:bbbbbbbbbbbb… (org/base), and this one is sha256:eeeeeeeeeeee….");
    expect((await resolve("team/tales", { baseDigest: otherBase, allowOtherBase: true })).record).toBeDefined();
  });

  it("refuses an adapter with a flipped bit, wherever it is", async () => {
    for (const name of ["adapter_model.safetensors", "adapter_config.json"]) {
      const path = join((await resolve("team/tales@1")).directory, name);
      const sound = readFileSync(path);
      for (const at of [0, Math.floor(sound.length / 2), sound.length - 1]) {
        const bytes = Buffer.from(sound);
        bytes[at] ^= 1;
        rmSync(path);
        writeFileSync(path, bytes);
        expect(await failure(resolve("team/tales@1"))).toMatchObject({ code: "invalid-file", where: "team/tales@1" });
      }
      rmSync(path);
      writeFileSync(path, sound);
      await resolve("team/tales@1");
    }
  });
});
