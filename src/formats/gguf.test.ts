import { gguf as reference } from "@huggingface/gguf";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { random } from "../util/index.ts";
import { encodeGguf } from "./gguf-blocks.ts";
import { gguf, ggufTensorTypes, type GgufTensorType, type GgufValue } from "./gguf-types.ts";
import { writeGguf, type GgufSource } from "./gguf-write.ts";
import { readGgufHeader, readGgufTensor } from "./gguf.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-gguf-"));
afterAll(() => rmSync(folder, { recursive: true }));

const metadata = new Map<string, GgufValue>([
  ["general.architecture", gguf.string("llama")],
  ["a.u8", { type: "u8", value: 200 }],
  ["a.i8", { type: "i8", value: -100 }],
  ["a.u16", { type: "u16", value: 60_000 }],
  ["a.i16", { type: "i16", value: -30_000 }],
  ["a.u32", gguf.u32(4_000_000_000)],
  ["a.i32", { type: "i32", value: -2_000_000_000 }],
  ["a.f32", gguf.f32(0.5)],
  ["a.f64", { type: "f64", value: 0.1 }],
  ["a.bool", gguf.bool(true)],
  ["a.string", gguf.string("▁▂ 🦙")],
  ["a.u64", { type: "u64", value: 2n ** 60n }],
  ["a.i64", { type: "i64", value: -(2n ** 60n) }],
  ["a.strings", gguf.strings(["a", "", "ü"])],
  ["a.f32s", gguf.f32s([1, -0.5])],
  ["a.i32s", gguf.i32s([])],
]);

// In the order of their codes.
const valueTypes = ["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"];
const codes: Readonly<Record<string, number>> = Object.fromEntries(valueTypes.map((type, code) => [type, code]));

const values = (count: number, seed = 1): Float32Array => {
  const generator = random(seed);
  return Float32Array.from({ length: count }, () => generator.normal());
};

const source = (name: string, type: GgufTensorType, shape: readonly number[], data: Float32Array): GgufSource => ({
  name,
  type,
  shape,
  // In two pieces, as long tensors come.
  chunks: () => [encodeGguf(data.subarray(0, 64), type, name), encodeGguf(data.subarray(64), type, name)],
});

const types = Object.keys(ggufTensorTypes) as GgufTensorType[];

describe("a GGUF file", () => {
  const path = join(folder, "all.gguf");
  const written = writeGguf(path, { metadata, tensors: types.map((type, index) => source(type, type, [3, 64], values(192, index))) });

  it("is read by another implementation", async () => {
    await written;
    const found = await reference(path, { allowLocalFile: true, typedMetadata: true });
    expect(found.metadata).toMatchObject({ version: 3, tensor_count: 4n, kv_count: 16n });
    for (const [key, value] of metadata) {
      const { type, value: theirs } = found.typedMetadata[key];
      expect(type).toBe(codes[value.type]);
      expect(theirs).toEqual(value.type === "array" ? value.values : value.value);
    }
    const [first, second] = found.tensorInfos;
    expect(found.tensorInfos.map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual(
      types.map((type) => [type, ggufTensorTypes[type].code, [64n, 3n]]),
    );
    expect([first.offset, second.offset]).toEqual([0n, 768n]);
    expect(Number(found.tensorDataOffset) % 32).toBe(0);
  });

  it("gives back its metadata and its tensors", async () => {
    await written;
    const file = await readGgufHeader(path);
    expect(file.metadata).toEqual(metadata);
    const errors = { f32: 0, f16: 2e-3, bf16: 2e-2, q8_0: 2e-2 };
    for (const [index, type] of types.entries()) {
      const tensor = file.tensors.get(type)!;
      expect(tensor).toMatchObject({ path, type, shape: [3, 64] });
      const { data } = await readGgufTensor(tensor);
      const given = values(192, index);
      expect(Math.max(...given.map((value, at) => Math.abs(value - Number(data[at]))))).toBeLessThanOrEqual(errors[type]);
    }
  });

  it("has the same bytes for the same content", async () => {
    await written;
    const again = join(folder, "again.gguf");
    await writeGguf(again, { metadata, tensors: types.map((type, index) => source(type, type, [3, 64], values(192, index))) });
    expect(readFileSync(again)).toEqual(readFileSync(path));
  });

  it("may have a header longer than the first piece that is read", async () => {
    const long = join(folder, "long.gguf");
    const tokens = gguf.strings(Array.from({ length: 100_000 }, (_, id) => `token ${id}`));
    await writeGguf(long, { metadata: new Map([["tokens", tokens]]), tensors: [source("x", "f32", [128], values(128))] });
    const file = await readGgufHeader(long);
    expect(file.metadata.get("tokens")).toEqual(tokens);
    expect((await readGgufTensor(file.tensors.get("x")!)).data).toEqual(values(128));
  });
});

describe("a GGUF file is not written", () => {
  it.each<[string, GgufSource[], string]>([
    ["with a name twice", [source("x", "f32", [64], values(64)), source("x", "f32", [64], values(64))], 'The name "x" is taken.'],
    ["with rows of half blocks", [source("x", "q8_0", [8, 48], values(384))], "Rows of 48 elements hold no whole blocks of 32."],
    ["with a tensor cut short", [source("x", "f32", [3, 64], values(128))], "The tensor gave 512 bytes where its shape and type take 768."],
    ["with a value too large", [source("x", "f16", [64], new Float32Array(64).fill(7e4))], "values above 65504"],
  ])("%s, and what was there stays", async (_, tensors, message) => {
    const path = join(folder, "kept.gguf");
    writeFileSync(path, "before");
    await expect(writeGguf(path, { metadata, tensors })).rejects.toThrow(message);
    expect(readFileSync(path, "utf8")).toBe("before");
    expect(readdirSync(folder).filter((name) => name.includes("partial"))).toEqual([]);
  });
});
