import { copyFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { f32, i32, narrowBf16, narrowF16, type HostTensor } from "../util/index.ts";
import { baseDigest } from "./base-digest.ts";
import { openCheckpoint, writeCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { tensorSources, writeSafetensors } from "./safetensors-write.ts";
import { readTensor, readTensorF32 } from "./safetensors.ts";
import { prepareWeights } from "./weights.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-weights-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const values = Float32Array.from({ length: 3000 }, (_, index) => (index - 1500) / 8);
const tensors = new Map<string, HostTensor>([
  ["a.bf16", { dtype: "bf16", shape: [30, 100], data: narrowBf16(values) }],
  ["b.f16", { dtype: "f16", shape: [3000], data: narrowF16(values) }],
  ["c.f32", f32([1, 2])],
  ["d.f64", { dtype: "f64", shape: [2], data: Float64Array.of(0.1, -2) }],
  ["e.i32", i32([7])],
]);

const checkpointOf = async (content: Map<string, HostTensor>, shardBytes = 5e9): Promise<Checkpoint> => {
  await writeCheckpoint(join(folder, "model"), { config: {}, tensors: tensorSources(content), shardBytes });
  return openCheckpoint(join(folder, "model"));
};

const cached = async (): Promise<string> => {
  const names = await readdir(join(folder, "cache", "weights"));
  expect(names).toHaveLength(1);
  return join(folder, "cache", "weights", names[0]);
};

describe("prepareWeights", () => {
  it("leaves a float32 checkpoint where it is", async () => {
    const checkpoint = await checkpointOf(
      new Map([
        ["c.f32", f32([1, 2])],
        ["e.i32", i32([7])],
      ]),
    );
    expect(await prepareWeights(checkpoint)).toBe(checkpoint.tensors);
    await expect(stat(join(folder, "cache"))).rejects.toThrow("ENOENT");
  });

  it.each([5e9, 1])("converts the others once, into a file named by the digest: shards of %d bytes", async (shardBytes) => {
    const checkpoint = await checkpointOf(tensors, shardBytes);
    const prepared = await prepareWeights(checkpoint);
    const path = await cached();
    expect(path).toBe(join(folder, "cache", "weights", `${(await baseDigest(checkpoint)).slice(7)}.f32.safetensors`));
    expect([...prepared.keys()].sort()).toEqual([...tensors.keys()]);
    for (const [name, location] of prepared) {
      const isConverted = /16|64/.test(name);
      expect(location).toEqual(
        isConverted ? { ...location, path, dtype: "f32", shape: tensors.get(name)!.shape } : checkpoint.tensors.get(name),
      );
      expect(await readTensorF32(location)).toEqual(await readTensorF32(checkpoint.tensors.get(name)!));
      expect(location.offset % 4).toBe(0);
    }
    expect((await readTensor(prepared.get("b.f16")!)).data).toEqual(values);
    const { ino, mtimeMs } = await stat(path);
    expect(await prepareWeights(checkpoint)).toEqual(prepared);
    expect(await stat(path)).toMatchObject({ ino, mtimeMs });
  });

  it("converts tensors larger than its buffer", async () => {
    const large = Uint16Array.from({ length: 5 * 2 ** 20 }, (_, index) => index & 0x7f7f);
    const prepared = await prepareWeights(await checkpointOf(new Map([["x", { dtype: "bf16", shape: [5, 2 ** 20], data: large }]])));
    const { data } = await readTensor(prepared.get("x")!);
    const bits = new Uint32Array(data.buffer);
    expect(bits.length).toBe(large.length);
    expect(bits.every((word, index) => word === large[index] * 2 ** 16)).toBe(true);
  });

  it.each<[what: string, damage: (path: string) => Promise<unknown>]>([
    ["missing", (path) => rm(path)],
    ["empty", (path) => truncate(path, 0)],
    ["cut short", async (path) => truncate(path, (await stat(path)).size - 1)],
    ["garbage", (path) => writeFile(path, "garbage, garbage")],
    ["of more tensors", (path) => copyFile(join(folder, "model", "model.safetensors"), path)],
    ["not converted", (path) => writeSafetensors(path, tensorSources(new Map([...tensors].filter(([name]) => /16|64/.test(name)))))],
    [
      "of other shapes",
      (path) => writeSafetensors(path, tensorSources(new Map(["a.bf16", "b.f16", "d.f64"].map((name) => [name, f32([1])])))),
    ],
  ])("makes the file again when it is %s", async (_, damage) => {
    const checkpoint = await checkpointOf(tensors);
    const prepared = await prepareWeights(checkpoint);
    const path = await cached();
    const before = await readFile(path);
    await damage(path);
    expect(await prepareWeights(checkpoint)).toEqual(prepared);
    expect(await readFile(path)).toEqual(before);
  });

  it("does the work once for several callers at once", async () => {
    const checkpoint = await checkpointOf(tensors);
    const all = await Promise.all([prepareWeights(checkpoint), prepareWeights(checkpoint), prepareWeights(checkpoint)]);
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
    await cached();
  });

  it("leaves nothing behind when the source ends early", async () => {
    const checkpoint = await checkpointOf(tensors);
    await truncate(join(folder, "model", "model.safetensors"), 3000);
    await expect(prepareWeights(checkpoint)).rejects.toMatchObject({ code: "invalid-file" });
    expect(await readdir(join(folder, "cache", "weights"))).toEqual([]);
  });
});

describe.skipIf(!hasShared)("a bf16 golden", () => {
  it("is widened exactly", async () => {
    const checkpoint = await openCheckpoint(sharedPath("goldens", "llama-bf16.qv", "model"));
    const prepared = await prepareWeights(checkpoint);
    expect(prepared.size).toBe(20);
    for (const [name, location] of prepared) {
      expect(location).toMatchObject({ dtype: "f32", path: await cached() });
      const source = await readTensor(checkpoint.tensors.get(name)!);
      const bits = new Uint32Array((await readTensor(location)).data.buffer);
      expect([...bits]).toEqual(Array.from(source.data as Uint16Array, (half) => half * 2 ** 16));
    }
  });
});
