import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LowrankError } from "../util/index.ts";
import { headerLength, parseHeader, type SafetensorsFile } from "./safetensors-header.ts";

const path = "/models/m.safetensors";
const text = new TextEncoder();

/** The bytes of a file with this header and so many bytes of data. */
const fileOf = (header: unknown, dataBytes = 0): Uint8Array => {
  const json = text.encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
};

const promising = (length: bigint, size: number): Uint8Array => {
  const file = new Uint8Array(size);
  new DataView(file.buffer).setBigUint64(0, length, true);
  return file;
};

/** What the reader does with a file, in memory. */
const check = (file: Uint8Array): SafetensorsFile => {
  const length = headerLength(file.subarray(0, 8), file.length, path);
  return parseHeader(file.subarray(8, 8 + length), file.length, path);
};

const refusal = (file: Uint8Array): LowrankError => {
  try {
    check(file);
  } catch (error) {
    if (LowrankError.is(error)) return error;
    throw error;
  }
  throw new Error("The file was accepted.");
};

const entry = (begin: number, end: number, shape: unknown = [end - begin], dtype: unknown = "U8"): unknown => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe("what a sound header says", () => {
  it("places tensors in the file", () => {
    const file = fileOf(
      { __metadata__: { format: "pt" }, b: entry(24, 28, [2], "BF16"), a: entry(0, 24, [2, 3], "F32"), e: entry(24, 24, [0, 7]) },
      28,
    );
    const dataStart = file.length - 28;
    expect(check(file)).toEqual({
      path,
      metadata: { format: "pt" },
      tensors: new Map([
        ["b", { path, dtype: "bf16", shape: [2], offset: dataStart + 24, bytes: 4 }],
        ["a", { path, dtype: "f32", shape: [2, 3], offset: dataStart, bytes: 24 }],
        ["e", { path, dtype: "u8", shape: [0, 7], offset: dataStart + 24, bytes: 0 }],
      ]),
    });
  });

  it.each([
    ["no tensors", "{}", 0],
    ["spaces after the object", '{"a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}     ', 4],
    ["keys that the format does not have", { a: { ...(entry(0, 1) as object), more: 1 } }, 1],
  ])("%s", (_, header, bytes) => {
    expect(() => check(fileOf(header, bytes))).not.toThrow();
  });

  it("keeps names that are special to JavaScript as plain names", () => {
    const header = `{"__metadata__":{"__proto__":"m"},"__proto__":${JSON.stringify(entry(0, 1))},"constructor":${JSON.stringify(entry(1, 2))}}`;
    const { tensors, metadata } = check(fileOf(header, 2));
    expect([...tensors.keys()]).toEqual(["__proto__", "constructor"]);
    expect(Object.entries(metadata)).toEqual([["__proto__", "m"]]);
    expect(({} as { dtype?: string }).dtype).toBeUndefined();
  });
});

const again = "Download it again.";

describe("refused before anything is allocated", () => {
  it.each<[what: string, file: Uint8Array, telling: string, code?: string]>([
    ["an empty file", new Uint8Array(0), `${path}: The file is empty. ${again}`],
    ["five bytes", new Uint8Array(5), "The file has 5 bytes, too few for a safetensors file"],
    [
      "a header longer than the file",
      promising(1000n, 100),
      "cut short: its header promises 1008 bytes, the file has 100. Download it again",
    ],
    ["a header longer than the format allows", promising(100_000_001n, 100), "its header would be 100000001 bytes long, at most 100000000"],
    ["the largest length", promising(2n ** 64n - 1n, 100), "its header would be 18446744073709551615 bytes long"],
    ["a PyTorch zip", text.encode("PK\x03\x04 archive/data.pkl"), "Convert it once, in Python with PyTorch", "unsupported"],
    ["a pickle", Uint8Array.of(0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9), "a file of Python pickles", "unsupported"],
    ["a short pickle", Uint8Array.of(0x80, 0x04), "a file of Python pickles", "unsupported"],
    ["GGUF", text.encode("GGUF\x03\0\0\0\0\0\0\0"), "This is a GGUF file", "unsupported"],
    ["a Git LFS pointer", text.encode("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "Run `git lfs pull`"],
    ["a web page", text.encode("<!DOCTYPE html><html>"), "This is a web page"],
    ["a header of length 0", fileOf(""), "The header is not valid JSON"],
    ["a header that is cut", fileOf('{"a":'), "The header is not valid JSON"],
    ["bytes after the object", fileOf("{}x"), "The header is not valid JSON"],
    ["a byte order mark", fileOf("\u{FEFF}{}"), "The header is not valid JSON"],
    ["bytes that are no UTF-8", Buffer.from('\x09\0\0\0\0\0\0\0{"a":"\xff"}', "latin1"), "The header is not valid JSON"],
    ["a list", fileOf("[]"), "The header is not a JSON object"],
    ["null", fileOf("null"), "The header is not a JSON object"],
    ["metadata that is a list", fileOf({ __metadata__: [] }), "__metadata__ is not an object of texts"],
    ["metadata that is null", fileOf({ __metadata__: null }), "__metadata__ is not an object of texts"],
    ["metadata with a number", fileOf({ __metadata__: { step: 1 } }), "__metadata__ is not an object of texts"],
    ["an entry that is a number", fileOf({ a: 1 }), `${path}, tensor "a": Its entry in the header is not an object`],
    ["an entry without dtype", fileOf({ a: { shape: [1], data_offsets: [0, 1] } }, 1), 'tensor "a": Its entry in the header has no dtype'],
    [
      "an 8-bit float",
      fileOf({ a: entry(0, 1, [1], "F8_E4M3") }, 1),
      'tensor "a": Its dtype "F8_E4M3" is not read; known: F64, F32',
      "unsupported",
    ],
    ["a dtype that is a property of all objects", fileOf({ a: entry(0, 1, [1], "constructor") }, 1), 'dtype "constructor"', "unsupported"],
    ["a dtype in lower case", fileOf({ a: entry(0, 4, [1], "f32") }, 4), 'dtype "f32"', "unsupported"],
    ["a negative size", fileOf({ a: entry(0, 1, [-1]) }, 1), 'tensor "a": Its shape is not a list of whole numbers'],
    ["a fractional size", fileOf({ a: entry(0, 1, [0.5]) }, 1), "Its shape is not a list"],
    ["a size beyond exact integers", fileOf({ a: entry(0, 1, [2 ** 53]) }, 1), "Its shape is not a list"],
    ["an infinite size", fileOf('{"a":{"dtype":"U8","shape":[1e999],"data_offsets":[0,1]}}', 1), "Its shape is not a list"],
    ["a size as text", fileOf({ a: entry(0, 1, ["1"]) }, 1), "Its shape is not a list"],
    ["no shape", fileOf({ a: { dtype: "U8", data_offsets: [0, 1] } }, 1), "Its shape is not a list"],
    ["sizes whose product overflows", fileOf({ a: entry(0, 8, [2 ** 32, 2 ** 32], "F64") }, 8), "Its shape is too large for any file"],
    [
      "sizes whose product is infinite",
      fileOf({ a: entry(0, 0, [...Array.from({ length: 40 }, () => 2 ** 50), 0]) }),
      "Its shape is too large",
    ],
    ["one offset", fileOf({ a: { dtype: "U8", shape: [1], data_offsets: [0] } }, 1), "Its data_offsets are not two whole numbers"],
    ["a negative offset", fileOf({ a: entry(-1, 0, [1]) }, 1), "Its data_offsets are not two whole numbers"],
    ["offsets beyond exact integers", fileOf({ a: entry(2 ** 53, 2 ** 53 + 2, [2]) }, 2), "Its data_offsets are not two whole numbers"],
    ["an end before its beginning", fileOf({ a: entry(4, 0, [4]) }, 4), "Its bytes end at 0, before they begin at 4"],
    [
      "a span that is too short",
      fileOf({ a: entry(0, 4, [2, 1], "F32") }, 4),
      'tensor "a": Its shape [2, 1] of F32 needs 8 bytes, its data_offsets span 4',
    ],
    ["a span for a tensor of nothing", fileOf({ a: entry(0, 4, [0]) }, 4), "needs 0 bytes, its data_offsets span 4"],
    [
      "two tensors in the same bytes",
      fileOf({ a: entry(0, 4), b: entry(0, 4) }, 4),
      'tensor "b": Its bytes from 0 overlap those of another tensor, up to 4',
    ],
    ["two tensors that overlap", fileOf({ a: entry(0, 4), b: entry(3, 8) }, 8), 'tensor "b": Its bytes from 3 overlap'],
    ["an empty tensor inside another", fileOf({ a: entry(0, 4), b: entry(2, 2) }, 4), 'tensor "b": Its bytes from 2 overlap'],
    ["a hole", fileOf({ a: entry(0, 4), b: entry(6, 8) }, 8), 'tensor "b": The 2 bytes before it belong to no tensor'],
    ["a hole at the beginning", fileOf({ a: entry(1, 4) }, 4), 'tensor "a": The 1 bytes before it belong to no tensor'],
    [
      "data that is cut short",
      fileOf({ a: entry(0, 400) }, 100),
      `cut short: its header promises ${8 + 57 + 400} bytes, the file has ${8 + 57 + 100}. ${again}`,
    ],
    ["data that goes on", fileOf({ a: entry(0, 4) }, 9), "The last 5 bytes belong to no tensor"],
    [
      "a name that is given twice",
      fileOf(`{"a":${JSON.stringify(entry(0, 1))},"a":${JSON.stringify(entry(0, 1))}}`, 1),
      'The header names "a" twice',
    ],
    [
      "a name that is spelt two ways",
      fileOf(`{"a":${JSON.stringify(entry(0, 1))},"\\u0061":${JSON.stringify(entry(0, 1))}}`, 1),
      'names "a" twice',
    ],
    ["metadata given twice", fileOf('{"__metadata__":{},"__metadata__":{}}'), 'The header names "__metadata__" twice'],
  ])("%s", (_, file, telling, code = "invalid-file") => {
    const error = refusal(file);
    expect(error.message).toContain(telling);
    expect(error.code).toBe(code);
    expect(error.message.startsWith(path)).toBe(true);
    expect(error.fix).toBeTruthy();
  });

  it("shortens endless names", () => {
    expect(refusal(fileOf({ ["x".repeat(1e6)]: 1 })).message.length).toBeLessThan(300);
  });
});

describe("whatever the bytes", () => {
  /** Accepts a file whose tensors fill it exactly, or refuses it with an error of ours. */
  const holds = (file: Uint8Array): boolean => {
    let found: SafetensorsFile;
    try {
      found = check(file);
    } catch (error) {
      return LowrankError.is(error) && error.message.length < 3000;
    }
    const { tensors } = found;
    const filled = [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const [headerBytes] = new BigUint64Array(file.slice(0, 8).buffer);
    return (
      filled === file.length - 8 - Number(headerBytes) && [...tensors.values()].every(({ offset, bytes }) => offset + bytes <= file.length)
    );
  };

  const valid = fileOf(
    { __metadata__: { format: "pt" }, a: entry(0, 24, [2, 3], "F32"), "b.weight": entry(24, 28, [2], "F16"), c: entry(28, 28, [0]) },
    28,
  );

  it("random bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), holds), { numRuns: 3000 });
  });

  it("a sound length, then random bytes or random JSON", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }).map((bytes) => new TextDecoder("latin1").decode(bytes)),
        (json) => holds(fileOf(json)),
      ),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.json(), fc.nat(40), (json, data) => holds(fileOf(json, data))),
      { numRuns: 2000 },
    );
  });

  it("a valid file with bytes changed, cut or added", () => {
    const change = fc.tuple(fc.nat(valid.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.integer({ min: -40, max: 40 }), (changes, growth) => {
        const file = new Uint8Array(valid.length + growth);
        file.set(valid.subarray(0, file.length));
        for (const [at, byte] of changes) if (at < file.length) file[at] = byte;
        return holds(file);
      }),
      { numRuns: 5000 },
    );
  });

  it("entries of odd values", () => {
    const odd = fc.oneof(
      fc.constantFrom<unknown>(
        0,
        1,
        4,
        24,
        28,
        2 ** 31,
        2 ** 32,
        2 ** 53 - 1,
        2 ** 53,
        1e308,
        -1,
        0.5,
        null,
        "",
        "F32",
        "BOOL",
        [],
        {},
        true,
      ),
      fc.integer({ min: -2, max: 60 }),
    );
    const oddEntry = fc.record(
      {
        dtype: fc.oneof(odd, fc.constantFrom("F32", "U8", "I64")),
        shape: fc.oneof(odd, fc.array(odd, { maxLength: 3 })),
        data_offsets: fc.array(odd, { maxLength: 3 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string({ maxLength: 3 }), oddEntry, { maxKeys: 4 }), fc.nat(60), (header, data) =>
        holds(fileOf(header, data)),
      ),
      {
        numRuns: 5000,
      },
    );
  });

  it("tensors that fill the file are accepted, in any order of names", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.nat(9)), { maxLength: 8 }), (sizes) => {
        const spans = new Map(sizes.filter(([name]) => name !== "__metadata__"));
        let end = 0;
        const entries = Array.from(spans, ([name, size]) => [name, entry(end, (end += size))] as const);
        expect(check(fileOf(Object.fromEntries(entries), end)).tensors.size).toBe(spans.size);
      }),
    );
  });

  it("takes 50,000 escapes and ends early where the nesting does not", () => {
    const { tensors } = check(fileOf(`{"${String.raw`\"`.repeat(50_000)}":${JSON.stringify(entry(0, 1))}}`, 1));
    expect([...tensors.keys()][0]).toHaveLength(50_000);
    const nested = (levels: number): string => `{"a":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}}`;
    expect(refusal(fileOf(nested(128))).message).toContain("not an object");
    expect(refusal(fileOf(nested(129))).message).toContain("nested more than 128 levels deep");
  });
});
