import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { f32, i32, LowrankError, type HostTensor } from "../util/index.ts";
import { openCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { tensorSources, writeSafetensors } from "./safetensors-write.ts";
import { readTensor } from "./safetensors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-checkpoint-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (...names: string[]): string => join(folder, ...names);
const config = { model_type: "llama", hidden_size: 4 };
const tensors = new Map<string, HostTensor>([
  ["embed.weight", f32([1, 2, 3, 4], [2, 2])],
  ["layer.weight", f32([5, 6, 7], [3])],
  ["layer.ids", i32([8])],
  ["norm.weight", { dtype: "bf16", shape: [2], data: Uint16Array.of(0x3f80, 0x4000) }],
]);

const written = async (name: string, shardBytes?: number): Promise<string> => {
  await writeCheckpoint(at(name), { config, tensors: tensorSources(tensors), ...(shardBytes !== undefined && { shardBytes }) });
  return at(name);
};

const readAll = async (directory: string): Promise<Map<string, HostTensor>> => {
  const found = new Map<string, HostTensor>();
  for (const [name, location] of (await openCheckpoint(directory)).tensors) found.set(name, await readTensor(location));
  return found;
};

const bytesIn = async (directory: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    await Promise.all((await readdir(directory)).sort().map(async (name) => [name, await readFile(join(directory, name), "hex")] as const)),
  );

const refusal = async (directory: string): Promise<LowrankError> => {
  const error = await openCheckpoint(directory).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!LowrankError.is(error)) throw new Error(`No error of ours: ${String(error)}`);
  return error;
};

const index = (places: unknown): Promise<void> =>
  writeFile(at("sharded", "model.safetensors.index.json"), JSON.stringify({ weight_map: places }));

describe("a checkpoint that was written", () => {
  it.each([
    ["one file", undefined, ["config.json", "model.safetensors"]],
    [
      "shards of at most 20 bytes",
      20,
      ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
    ],
    [
      "shards smaller than any tensor",
      1,
      ["config.json", ...[1, 2, 3, 4].map((shard) => `model-0000${shard}-of-00004.safetensors`), "model.safetensors.index.json"],
    ],
  ])("is read back: %s", async (_, shardBytes, files) => {
    const directory = await written("model", shardBytes);
    expect(Object.keys(await bytesIn(directory))).toEqual(files);
    expect((await openCheckpoint(directory)).config).toEqual(config);
    expect(await readAll(directory)).toEqual(tensors);
    expect(await bytesIn(await written("again", shardBytes))).toEqual(await bytesIn(directory));
  });

  it("spells numbers as another checkpoint does", async () => {
    await mkdir(at("original"));
    await writeFile(at("original", "config.json"), '{"model_type":"llama","cap":30.0,"hidden_size":4.0}');
    await writeCheckpoint(at("spelled"), { config: { ...config, cap: 30 }, spelledAs: at("original"), tensors: [] });
    expect(await readFile(at("spelled", "config.json"), "utf8")).toBe(
      '{\n  "cap": 30.0,\n  "hidden_size": 4.0,\n  "model_type": "llama"\n}\n',
    );
  });

  it("has the index that the layout asks for", async () => {
    await written("sharded", 20);
    expect(JSON.parse(await readFile(at("sharded", "model.safetensors.index.json"), "utf8"))).toEqual({
      metadata: { total_size: 16 + 12 + 4 + 4 },
      weight_map: {
        "embed.weight": "model-00001-of-00002.safetensors",
        "layer.ids": "model-00002-of-00002.safetensors",
        "layer.weight": "model-00002-of-00002.safetensors",
        "norm.weight": "model-00002-of-00002.safetensors",
      },
    });
  });

  it("replaces an earlier one of another form and leaves other files alone", async () => {
    await written("model", 20);
    await writeFile(at("model", "tokenizer.json"), "{}");
    await written("model");
    expect(await readdir(at("model"))).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    await written("model", 20);
    expect((await readdir(at("model"))).filter((name) => name === "model.safetensors")).toEqual([]);
    expect(await readAll(at("model"))).toEqual(tensors);
  });

  it("is read through links, as the hub's cache has them", async () => {
    await written("blobs", 20);
    await mkdir(at("snapshot"));
    for (const name of await readdir(at("blobs"))) await symlink(join("..", "blobs", name), at("snapshot", name));
    expect(await readAll(at("snapshot"))).toEqual(tensors);
  });

  it("may have tensors that its index does not list", async () => {
    await written("sharded", 20);
    await index({ "embed.weight": "model-00001-of-00002.safetensors", "layer.ids": "model-00002-of-00002.safetensors" });
    expect((await openCheckpoint(at("sharded"))).tensors.size).toBe(4);
  });
});

describe("what is refused", () => {
  it.each<[what: string, prepare: () => Promise<unknown>, code: string, telling: string]>([
    ["no folder", async () => {}, "not-found", "There is no such folder"],
    ["a file", () => writeFile(at("model"), ""), "not-found", "This is a file where a folder is expected"],
    ["an empty folder", () => mkdir(at("model")), "not-found", "There is no config.json. Name a folder with a model"],
    [
      "an adapter",
      () => mkdir(at("model")).then(() => writeFile(at("model", "adapter_config.json"), "{}")),
      "not-found",
      "name the folder of its base model",
    ],
    [
      "a configuration cut short",
      () => written("model").then(() => writeFile(at("model", "config.json"), '{"a":')),
      "invalid-file",
      "config.json: The file is not valid JSON",
    ],
    [
      "a configuration that is a list",
      () => written("model").then(() => writeFile(at("model", "config.json"), "[]")),
      "invalid-file",
      "is not a JSON object",
    ],
    [
      "no weights",
      () => written("model").then(() => rm(at("model", "model.safetensors"))),
      "not-found",
      "neither model.safetensors nor model.safetensors.index.json",
    ],
    [
      "pickles only",
      async () => {
        await written("model");
        await rm(at("model", "model.safetensors"));
        await writeFile(at("model", "pytorch_model.bin"), "PK\x03\x04");
      },
      "unsupported",
      'torch.load("pytorch_model.bin"',
    ],
    [
      "weights cut short",
      () => written("model").then(() => writeFile(at("model", "model.safetensors"), "12345678901")),
      "invalid-file",
      "model.safetensors: ",
    ],
  ])("%s", async (_, prepare, code, telling) => {
    await prepare();
    const error = await refusal(at("model"));
    expect(error.message).toContain(telling);
    expect(error.message).toContain(at("model"));
    expect(error.code).toBe(code);
  });

  const first = "model-00001-of-00002.safetensors";
  const second = "model-00002-of-00002.safetensors";
  it.each<[what: string, prepare: () => Promise<unknown>, code: string, telling: string]>([
    [
      "an index without places",
      () => writeFile(at("sharded", "model.safetensors.index.json"), "{}"),
      "invalid-file",
      "The index has no weight_map",
    ],
    [
      "an index of numbers",
      () => index({ "embed.weight": 1 }),
      "invalid-file",
      'places "embed.weight" in 1, which is no file of this folder',
    ],
    ...["../model.safetensors", "/etc/passwd", "..", "", "a/b", "a\\b", "x\0"].map(
      (file) =>
        [
          `a shard at ${JSON.stringify(file)}`,
          () => index({ "embed.weight": file }),
          "invalid-file",
          "which is no file of this folder",
        ] as [string, () => Promise<unknown>, string, string],
    ),
    ["a shard that is missing", () => rm(at("sharded", second)), "not-found", `Missing beside the index: ${second}. Download`],
    [
      "a tensor that its shard has not",
      () => index({ "embed.weight": second, "layer.ids": second }),
      "invalid-file",
      `The index places "embed.weight" in ${second}, which does not hold it`,
    ],
    [
      "tensors in each other's shards",
      () => index({ "embed.weight": second, "layer.ids": first }),
      "invalid-file",
      `places "embed.weight" in ${second}`,
    ],
    [
      "a tensor that no shard has",
      () => index({ "embed.weight": first, nowhere: first }),
      "invalid-file",
      `The index places "nowhere" in ${first}`,
    ],
    [
      "a tensor in two shards",
      () => cp(at("sharded", first), at("sharded", second)),
      "invalid-file",
      `${first} holds the tensor "embed.weight" as well`,
    ],
    ["a shard cut short", () => writeFile(at("sharded", second), "123456789"), "invalid-file", `${second}: `],
    [
      "a damaged index",
      () => writeFile(at("sharded", "model.safetensors.index.json"), "{"),
      "invalid-file",
      "index.json: The file is not valid JSON",
    ],
  ])("%s", async (_, prepare, code, telling) => {
    await written("sharded", 20);
    await prepare();
    const error = await refusal(at("sharded"));
    expect(error.message).toContain(telling);
    expect(error.code).toBe(code);
  });
});

it("prefers the single file, as the reference does", async () => {
  await written("sharded", 20);
  await writeSafetensors(at("sharded", "model.safetensors"), tensorSources(new Map([["only", f32([1])]])));
  expect([...(await openCheckpoint(at("sharded"))).tensors.keys()]).toEqual(["only"]);
});
