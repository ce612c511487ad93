import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dtypes, f32, LowrankError, sizeOf, type DType, type HostTensor, type TypedArray } from "../util/index.ts";
import { tensorSources, writeSafetensors, type TensorSource } from "./safetensors-write.ts";
import { eachTensorF32, readSafetensorsHeader, readTensor, readTensorF32, tensorChunks, toFloat32 } from "./safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);

const readAll = async (path: string): Promise<Map<string, HostTensor>> => {
  const tensors = new Map<string, HostTensor>();
  for (const [name, location] of (await readSafetensorsHeader(path)).tensors) tensors.set(name, await readTensor(location));
  return tensors;
};

const sample = (dtype: DType, values: readonly number[]): HostTensor => {
  const data = new dtypes[dtype].array(values.length);
  for (const [index, value] of values.entries())
    data[index] = data instanceof BigInt64Array || data instanceof BigUint64Array ? BigInt(value) : value;
  return { dtype, shape: [values.length], data };
};

describe("bytes on disk", () => {
  it("are those of the reference library", async () => {
    const cases: [name: string, tensors: TensorSource[], metadata: Record<string, string> | undefined, length: number, header: string][] = [
      ["empty", [], undefined, 8, "{}      "],
      ["metadata", [], { framework: "pt" }, 40, '{"__metadata__":{"framework":"pt"}}     '],
      [
        "padded",
        tensorSources(new Map([["attn0", f32([0, 1, 2, 3, 4, 5], [1, 1, 2, 3])]])),
        undefined,
        72,
        '{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       ',
      ],
    ];
    for (const [name, tensors, metadata, length, header] of cases) {
      await writeSafetensors(at(name), tensors, metadata);
      const bytes = await readFile(at(name));
      expect(bytes.readBigUInt64LE()).toBe(BigInt(length));
      expect(bytes.subarray(8, 8 + length).toString()).toBe(header);
    }
    expect((await readFile(at("padded"))).subarray(80).toString("hex")).toBe("000000000000803f0000004000004040000080400000a040");
  });

  it("go by alignment, then by name in UTF-8", async () => {
    const names = ["z", "\u{1F600}", "\u{FF5E}", "a", "B"];
    const tensors = new Map((Object.keys(dtypes) as DType[]).map((dtype) => [dtype as string, sample(dtype, [1, 0, 1])]));
    for (const name of names) tensors.set(name, sample("u8", [1]));
    await writeSafetensors(at("order"), tensorSources(tensors));
    const found = (await readSafetensorsHeader(at("order"))).tensors;
    const expected = [
      "u64",
      "i64",
      "f64",
      "f32",
      "u32",
      "i32",
      "bf16",
      "f16",
      "u16",
      "i16",
      "i8",
      "B",
      "a",
      "u8",
      "z",
      "\u{FF5E}",
      "\u{1F600}",
      "bool",
    ];
    expect([...found.keys()]).toEqual(expected);
    for (const { offset, dtype } of found.values()) expect(offset % dtypes[dtype].bytes).toBe(0);
  });

  it("do not depend on the order of tensors or metadata", async () => {
    const tensors = [
      ...new Map([
        ["b", f32([1])],
        ["a", sample("i64", [2])],
        ["c", sample("f16", [3])],
      ]),
    ];
    await writeSafetensors(at("one"), tensorSources(new Map(tensors)), { y: "1", x: "2" });
    await writeSafetensors(at("two"), tensorSources(new Map(tensors.toReversed())), { x: "2", y: "1" });
    expect(await readFile(at("two"))).toEqual(await readFile(at("one")));
  });
});

describe("round trips", () => {
  it("keep every dtype, shape and bit", async () => {
    const shape = fc.array(fc.nat(4), { maxLength: 3 });
    const tensor = fc
      .tuple(fc.constantFrom(...(Object.keys(dtypes) as DType[])), shape, fc.infiniteStream(fc.nat(255)))
      .map(([dtype, sizes, bytes]): HostTensor => {
        const content = Uint8Array.from({ length: sizeOf(sizes) * dtypes[dtype].bytes }, () => bytes.next().value);
        return { dtype, shape: sizes, data: new dtypes[dtype].array(content.buffer) };
      });
    const file = at("any");
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string(), tensor, { maxKeys: 5 }),
        fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
        async (given, metadata) => {
          const tensors = new Map(Object.entries(given));
          await writeSafetensors(file, tensorSources(tensors), metadata);
          expect(new Map(Object.entries((await readSafetensorsHeader(file)).metadata))).toEqual(new Map(Object.entries(metadata)));
          const found = await readAll(file);
          const bits = (all: Map<string, HostTensor>): unknown =>
            [...all]
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([name, { dtype, shape, data }]) => [name, dtype, shape, Buffer.from(data.buffer).toString("hex")]);
          expect(bits(found)).toEqual(bits(tensors));
          const floats = new Map<string, HostTensor>();
          await eachTensorF32(file, (await readSafetensorsHeader(file)).tensors, (name, { shape: sizes, data }) =>
            floats.set(name, f32((data as Float32Array).slice(), sizes)),
          );
          expect(bits(floats)).toEqual(
            bits(new Map([...tensors].map(([name, one]) => [name, { ...one, dtype: "f32", data: toFloat32(one).slice() }]))),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it("write a view, not the buffer that it lies in", async () => {
    const whole = Float32Array.of(9, 1, 2, 9);
    await writeSafetensors(at("view"), tensorSources(new Map([["v", { ...f32([0, 0]), data: whole.subarray(1, 3) }]])));
    expect((await readAll(at("view"))).get("v")).toEqual(f32([1, 2]));
  });

  it("read many tensors and ones of many MiB, whichever are asked for", async () => {
    const sizes = [3, 1_500_000, 700_000, 5, 400_000, 0, 9];
    const tensors = new Map(
      sizes.map((size, index) => [
        `t${index}`,
        f32(
          new Float32Array(size).map((_, at) => index + at),
          [size],
        ),
      ]),
    );
    await writeSafetensors(at("many"), tensorSources(tensors));
    const { tensors: locations } = await readSafetensorsHeader(at("many"));
    for (const leftOut of ["none", "t0", "t2"]) {
      const sums = new Map<string, number>();
      const wanted = new Map([...locations].filter(([name]) => name !== leftOut));
      await eachTensorF32(at("many"), wanted, (name, { data }) =>
        sums.set(
          name,
          (data as Float32Array).reduce((sum, value) => sum + value, 0),
        ),
      );
      const expected = [...tensors].filter(([name]) => name !== leftOut);
      expect(sums).toEqual(
        new Map(expected.map(([name, { data }]) => [name, (data as Float32Array).reduce((sum, value) => sum + value, 0)])),
      );
    }
  });

  it("read a tensor in chunks that cover it", async () => {
    const values = Float64Array.from({ length: 1000 }, (_, index) => index);
    await writeSafetensors(
      at("chunks"),
      tensorSources(
        new Map<string, HostTensor>([
          ["x", { dtype: "f64", shape: [1000], data: values }],
          ["none", f32([], [0, 2])],
        ]),
      ),
    );
    const { tensors } = await readSafetensorsHeader(at("chunks"));
    const sizes: number[] = [];
    const parts: Buffer[] = [];
    for await (const chunk of tensorChunks(tensors.get("x")!, 3000)) {
      sizes.push(chunk.length);
      parts.push(Buffer.from(chunk));
    }
    expect(sizes).toEqual([3000, 3000, 2000]);
    expect(Buffer.concat(parts)).toEqual(Buffer.from(values.buffer));
    for await (const chunk of tensorChunks(tensors.get("none")!)) expect(chunk).toBeUndefined();
    expect(await readTensor(tensors.get("none")!)).toEqual(f32([], [0, 2]));
  });
});

describe("toFloat32", () => {
  it.each<[DType, TypedArray, number[]]>([
    ["f64", Float64Array.of(0.1, -1e300), [Math.fround(0.1), -Infinity]],
    ["f32", Float32Array.of(1.5), [1.5]],
    ["f16", Uint16Array.of(0x3c00, 0x0001, 0xfc00), [1, 2 ** -24, -Infinity]],
    ["bf16", Uint16Array.of(0x3f80, 0xc000), [1, -2]],
    ["i64", BigInt64Array.of(-3n, 2n ** 62n), [-3, 2 ** 62]],
    ["u64", BigUint64Array.of(2n ** 64n - 1n), [2 ** 64]],
    ["i32", Int32Array.of(-(2 ** 31), 16_777_217), [-(2 ** 31), 16_777_216]],
    ["u32", Uint32Array.of(2 ** 32 - 1), [2 ** 32]],
    ["i16", Int16Array.of(-5), [-5]],
    ["u16", Uint16Array.of(65_535), [65_535]],
    ["i8", Int8Array.of(-128), [-128]],
    ["u8", Uint8Array.of(255), [255]],
    ["bool", Uint8Array.of(1, 0), [1, 0]],
  ])("%s", async (dtype, data, values) => {
    expect([...toFloat32({ dtype, data })]).toEqual(values);
    await writeSafetensors(at("wide"), tensorSources(new Map([["x", { dtype, shape: [data.length], data }]])));
    expect(await readTensorF32((await readSafetensorsHeader(at("wide"))).tensors.get("x")!)).toEqual(f32(values));
  });
});

const refusal = async (action: Promise<unknown>): Promise<LowrankError> => {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!LowrankError.is(error)) throw new Error(`No error of ours: ${String(error)}`);
  return error;
};

describe("files that cannot be read", () => {
  it("are named", async () => {
    await mkdir(at("a-folder"));
    await symlink(at("gone"), at("dangling"));
    expect(await refusal(readSafetensorsHeader(at("gone")))).toMatchObject({ code: "not-found", where: at("gone") });
    expect(await refusal(readSafetensorsHeader(at("dangling")))).toMatchObject({ code: "not-found", where: at("dangling") });
    expect(await refusal(readSafetensorsHeader(at("a-folder")))).toMatchObject({ code: "invalid-file", where: at("a-folder") });
    expect(await refusal(readSafetensorsHeader("/dev/null"))).toMatchObject({ code: "invalid-file", where: "/dev/null" });
  });

  it("and a huge promise allocates nothing", async () => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(99_999_999n);
    await writeFile(at("promise"), bytes);
    const before = process.memoryUsage().arrayBuffers;
    expect((await refusal(readSafetensorsHeader(at("promise")))).message).toContain("promises 100000007 bytes, the file has 16");
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
  });

  it("and a file that shrinks after its header was read is an error, not zeros", async () => {
    await writeSafetensors(at("shrinks"), tensorSources(new Map([["x", f32(new Float32Array(100))]])));
    const location = (await readSafetensorsHeader(at("shrinks"))).tensors.get("x")!;
    await truncate(at("shrinks"), location.offset + 100);
    const error = await refusal(readTensor(location));
    expect(error.message).toContain(`ended at byte ${location.offset + 100}, where 300 more were expected`);
    expect((await refusal(tensorChunks(location).next())).code).toBe("invalid-file");
  });

  it("and a tensor that no memory holds is out of memory", async () => {
    await writeSafetensors(at("vast"), tensorSources(new Map([["x", f32([1])]])));
    const location = (await readSafetensorsHeader(at("vast"))).tensors.get("x")!;
    expect(await refusal(readTensor({ ...location, bytes: 2 ** 52 }))).toMatchObject({ code: "out-of-memory" });
  });
});

describe("what is not written", () => {
  const source = (name: string, bytes: number, shape = [2]): TensorSource => ({
    name,
    dtype: "f32",
    shape,
    chunks: () => [new Uint8Array(bytes)],
  });

  it.each<[what: string, tensors: TensorSource[], code: string, telling: string]>([
    ["the same name twice", [source("a", 8), source("a", 8)], "invalid-argument", '"a" is taken'],
    ["a tensor with the name of the metadata", [source("__metadata__", 8)], "invalid-argument", '"__metadata__" is taken'],
    [
      "too few bytes",
      [source("a", 8), source("b", 4)],
      "shape-mismatch",
      'tensor "b": The tensor gave 4 bytes where its shape and dtype take 8',
    ],
    ["too many bytes", [source("a", 12)], "shape-mismatch", "gave 12 bytes"],
  ])("%s; what was there stays", async (_, tensors, code, telling) => {
    await writeFile(at("kept"), "before");
    const error = await refusal(writeSafetensors(at("kept"), tensors));
    expect(error.code).toBe(code);
    expect(error.message).toContain(telling);
    expect(await readFile(at("kept"), "utf8")).toBe("before");
  });

  it("anything into a folder that is not there", async () => {
    const error = await refusal(writeSafetensors(at("nowhere/x.safetensors"), []));
    expect(error).toMatchObject({ code: "io-failed", where: at("nowhere/x.safetensors") });
  });

  it("more than one tensor at a time", async () => {
    let open = 0;
    const tensors = ["a", "b", "c"].map((name): TensorSource => ({
      name,
      dtype: "u8",
      shape: [2],
      async *chunks() {
        expect(++open).toBe(1);
        yield Uint8Array.of(1);
        yield Uint8Array.of(2);
        open--;
      },
    }));
    await writeSafetensors(at("streamed"), tensors);
    expect((await readFile(at("streamed"))).subarray(-6)).toEqual(Buffer.from([1, 2, 1, 2, 1, 2]));
  });
});
