import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { f32, type HostTensor } from "../util/index.ts";
import { baseDigest } from "./base-digest.ts";
import { openCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { tensorSources } from "./safetensors-write.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-digest-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const base: [string, HostTensor][] = [
  ["a", f32([1, 2, 3, 4], [2, 2])],
  ["b", { dtype: "bf16", shape: [2], data: Uint16Array.of(0x3f80, 0x4000) }],
];

const digestOf = async (name: string, tensors: [string, HostTensor][], shardBytes = 5e9): Promise<string> => {
  const directory = join(folder, name);
  await writeCheckpoint(directory, { config: {}, tensors: tensorSources(new Map(tensors)), shardBytes });
  return baseDigest(await openCheckpoint(directory));
};

const memos = (): Promise<string[]> => readdir(join(folder, "cache", "digests"));

describe("baseDigest", () => {
  it("is SHA-256 over name, dtype, shape and bytes, by name", async () => {
    const hash = createHash("sha256").update('["a","f32",[2,2]]\n').update(Buffer.from("0000803f000000400000404000008040", "hex"));
    hash.update('["b","bf16",[2]]\n').update(Buffer.from("803f0040", "hex"));
    expect(await digestOf("one", base)).toBe(`sha256:${hash.digest("hex")}`);
  });

  it("does not depend on shards, order or file names", async () => {
    const digests = [await digestOf("one", base), await digestOf("two", base, 1), await digestOf("three", base.toReversed(), 1)];
    expect(new Set(digests).size).toBe(1);
  });

  it.each<[what: string, tensors: [string, HostTensor][]]>([
    ["a value", [["a", f32([1, 2, 3, 5], [2, 2])], base[1]]],
    ["a shape", [["a", f32([1, 2, 3, 4], [4, 1])], base[1]]],
    ["a name", [["c", base[0][1]], base[1]]],
    ["a dtype", [base[0], ["b", { ...base[1][1], dtype: "f16" }]]],
    ["a tensor more", [...base, ["c", f32([])]]],
  ])("changes with %s", async (_, tensors) => {
    expect(await digestOf("other", tensors)).not.toBe(await digestOf("one", base));
  });
});

describe("its memory", () => {
  it("spares the second reading, also through a link", async () => {
    await digestOf("one", base, 1);
    const [memo] = await memos();
    const remembered = `sha256:${"0".repeat(64)}`;
    await writeFile(join(folder, "cache", "digests", memo), JSON.stringify({ digest: remembered }));
    expect(await baseDigest(await openCheckpoint(join(folder, "one")))).toBe(remembered);
    await symlink(join(folder, "one"), join(folder, "link"));
    expect(await baseDigest(await openCheckpoint(join(folder, "link")))).toBe(remembered);
  });

  it("is not used for places that were read before the file changed", async () => {
    await digestOf("one", base);
    const stale = await openCheckpoint(join(folder, "one"));
    const digest = await digestOf("one", [["a", f32([1, 2, 3, 4], [4, 1])], base[1]]);
    expect(await baseDigest(stale)).not.toBe(digest);
    expect(await baseDigest(await openCheckpoint(join(folder, "one")))).toBe(digest);
  });

  it("is forgotten when a file changes", async () => {
    const digest = await digestOf("one", base);
    expect(await digestOf("one", [["a", f32([1, 2, 3, 5], [2, 2])], base[1]])).not.toBe(digest);
    expect(await memos()).toHaveLength(2);
  });

  it.each([
    ["cut short", (path: string) => truncate(path, 5)],
    ["of another form", (path: string) => writeFile(path, '{"digest":"md5:0"}')],
    ["of another type", (path: string) => writeFile(path, '{"digest":1}')],
  ])("is made again when it is %s", async (_, damage) => {
    const digest = await digestOf("one", base);
    const [memo] = await memos();
    const path = join(folder, "cache", "digests", memo);
    const before = await readFile(path, "utf8");
    await damage(path);
    expect(await baseDigest(await openCheckpoint(join(folder, "one")))).toBe(digest);
    expect(await readFile(path, "utf8")).toBe(before);
  });

  it("is not needed: a cache that cannot be written fails nothing", async () => {
    const digest = await digestOf("one", base);
    await writeFile(join(folder, "blocked"), "");
    vi.stubEnv("LOWRANK_CACHE", join(folder, "blocked"));
    expect(await baseDigest(await openCheckpoint(join(folder, "one")))).toBe(digest);
  });
});
