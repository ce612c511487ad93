import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { f32 } from "../util/index.ts";
import { prepareRounded, type RoundedTensor } from "./rounded-weights.ts";
import { readTensorF32 } from "./safetensors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-rounded-"));
  vi.stubEnv("LOWRANK_CACHE", folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const digest = `sha256:${"0".repeat(64)}`;

/** One value for each name, and how often it was made. */
const partsOf = (values: Readonly<Record<string, number>>) => {
  const make = vi.fn((value: number) => Promise.resolve(f32([value])));
  const wanted = Object.entries(values).map(([name, value]): RoundedTensor => ({
    name,
    dtype: "f32",
    shape: [1],
    make: () => make(value),
  }));
  return { make, wanted };
};

const files = async (): Promise<string[]> => (await readdir(join(folder, "weights"))).map((name) => join(folder, "weights", name));

describe("prepareRounded", () => {
  it("makes what is there and fits once", async () => {
    const { make, wanted } = partsOf({ a: 1, b: 2 });
    const first = await prepareRounded(digest, "int8", wanted);
    expect((await readTensorF32(first.get("b")!)).data).toEqual(Float32Array.of(2));
    expect(await prepareRounded(digest, "int8", wanted)).toEqual(first);
    expect(make).toHaveBeenCalledTimes(2);
  });

  it("leaves the tensors of one choice of modules where they are when another choice is prepared", async () => {
    const whole = partsOf({ a: 1, b: 2 });
    const first = await prepareRounded(digest, "int8", whole.wanted);
    const second = await prepareRounded(digest, "int8", partsOf({ b: 2 }).wanted);
    expect((await readTensorF32(first.get("a")!)).data).toEqual(Float32Array.of(1));
    expect((await readTensorF32(second.get("b")!)).data).toEqual(Float32Array.of(2));
    await prepareRounded(digest, "int8", whole.wanted);
    expect(whole.make).toHaveBeenCalledTimes(2);
  });

  it("gives the same file to several that ask at once, and leaves nothing aside", async () => {
    const { wanted } = partsOf({ a: 1, b: 2 });
    const [one, other] = await Promise.all([prepareRounded(digest, "nf4", wanted), prepareRounded(digest, "nf4", wanted)]);
    expect(other).toEqual(one);
    expect(await files()).toEqual([one.get("a")!.path]);
  });

  it.each<[what: string, damage: (path: string) => Promise<unknown>]>([
    ["empty", (path) => truncate(path, 0)],
    ["cut short", async (path) => truncate(path, (await stat(path)).size - 1)],
    ["garbage", (path) => writeFile(path, "garbage, garbage")],
  ])("makes the file again when it is %s", async (_, damage) => {
    const { wanted } = partsOf({ a: 1, b: 2 });
    const prepared = await prepareRounded(digest, "int4", wanted);
    const [path] = await files();
    const before = await readFile(path);
    await damage(path);
    expect(await prepareRounded(digest, "int4", wanted)).toEqual(prepared);
    expect(await readFile(path)).toEqual(before);
  });
});
