import type * as promises from "node:fs/promises";
import { mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cachedModel, completeSnapshot, hubCache, isModelId, linkIntoSnapshot, readReference, writeReference } from "./hub-cache.ts";

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof promises>();
  return { ...real, symlink: vi.fn(real.symlink) };
});

afterEach(() => void vi.unstubAllEnvs());

describe("hubCache", () => {
  it.each([
    [{ HF_HUB_CACHE: "/x", HF_HOME: "/y" }, "/x"],
    [{ HF_HUB_CACHE: "~/x" }, join(homedir(), "x")],
    [{ HF_HOME: "/y", XDG_CACHE_HOME: "/z" }, "/y/hub"],
    [{ XDG_CACHE_HOME: "/z" }, "/z/huggingface/hub"],
    [{}, join(homedir(), ".cache/huggingface/hub")],
  ])("is with %j the folder %s", (environment: Record<string, string>, folder) => {
    for (const name of ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"]) vi.stubEnv(name, environment[name]);
    expect(hubCache()).toBe(folder);
  });
});

it.each([
  ["org/name", true],
  ["gpt2", true],
  ["org/Name_1.5-B", true],
  ["a/b/c", false],
  ["org/../x", false],
  ["org--x/y", false],
  ["/abs", false],
  ["./x", false],
  ["org/", false],
  ["org\\x", false],
  ["", false],
])("takes %j for a model's name: %s", (text, expected) => {
  expect(isModelId(text)).toBe(expected);
});

describe("a model in the cache", () => {
  const withModel = async (test: (model: ReturnType<typeof cachedModel>) => Promise<void>): Promise<void> => {
    const cache = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
    await test(cachedModel(cache, "org/tiny"));
    await rm(cache, { recursive: true });
  };
  const COMMIT = "c".repeat(40);

  it("remembers references, nested ones too, and none for a commit", () =>
    withModel(async (model) => {
      await writeReference(model, "refs/pr/1", COMMIT);
      expect(await readFile(join(model.folder, "refs/refs/pr/1"), "utf8")).toBe(COMMIT);
      expect(await readReference(model, "refs/pr/1")).toBe(COMMIT);
      expect(await readReference(model, "main")).toBeUndefined();
      await writeFile(join(model.folder, "refs/main"), "../../elsewhere");
      expect(await readReference(model, "main")).toBeUndefined();
      expect(await readReference(model, COMMIT)).toBe(COMMIT);
    }));

  it("links relative to the snapshot, replacing a dead link; copies where links are not allowed", () =>
    withModel(async (model) => {
      const snapshot = join(model.folder, "snapshots", COMMIT);
      await mkdir(join(model.folder, "blobs"), { recursive: true });
      await mkdir(snapshot, { recursive: true });
      await writeFile(join(model.folder, "blobs/tag"), "bytes");
      await symlink("../../blobs/gone", join(snapshot, "x.json"));
      await linkIntoSnapshot(model, COMMIT, "x.json", "tag");
      expect(await readlink(join(snapshot, "x.json"))).toBe("../../blobs/tag");
      await linkIntoSnapshot(model, COMMIT, "sub/x.json", "tag");
      expect(await readlink(join(snapshot, "sub/x.json"))).toBe("../../../blobs/tag");

      vi.mocked(symlink).mockRejectedValueOnce(Object.assign(new Error("no"), { code: "EPERM" }));
      await linkIntoSnapshot(model, COMMIT, "copy.json", "tag");
      await expect(readlink(join(snapshot, "copy.json"))).rejects.toThrow("EINVAL");
      expect(await readFile(join(snapshot, "copy.json"), "utf8")).toBe("bytes");
    }));

  it.each<[string, Record<string, string>, boolean]>([
    ["one file of weights", { "config.json": "{}", "model.safetensors": "" }, true],
    ["an adapter", { "adapter_config.json": "{}", "adapter_model.safetensors": "" }, true],
    ["no configuration", { "model.safetensors": "" }, false],
    ["no weights", { "config.json": "{}" }, false],
    ["a shard without its index", { "config.json": "{}", "model-00001-of-00002.safetensors": "" }, false],
    [
      "all shards",
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"w":"a.safetensors"}}', "a.safetensors": "" },
      true,
    ],
    ["a missing shard", { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"w":"a.safetensors"}}' }, false],
    ["a damaged index", { "config.json": "{}", "model.safetensors.index.json": '{"weight', "a.safetensors": "" }, false],
  ])("judges a snapshot with %s", (_name, files, complete) =>
    withModel(async (model) => {
      const snapshot = join(model.folder, "snapshots", COMMIT);
      await mkdir(snapshot, { recursive: true });
      for (const [name, content] of Object.entries(files)) await writeFile(join(snapshot, name), content);
      expect(await completeSnapshot(model, COMMIT, undefined)).toBe(complete ? snapshot : undefined);
    }),
  );
});
