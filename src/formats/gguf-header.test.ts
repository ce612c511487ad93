import * as fc from "fast-check";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LowrankError } from "../util/index.ts";
import { encodeGguf } from "./gguf-blocks.ts";
import { parseGgufHeader } from "./gguf-header.ts";
import { gguf } from "./gguf-types.ts";
import { writeGguf } from "./gguf-write.ts";

const path = "/adapters/a.gguf";
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const head = (tensors: number | bigint, metadata: number | bigint): Buffer =>
  Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors), u64(metadata)]);
const tensor = (name: string, shape: readonly (number | bigint)[], type: number, offset: number | bigint): Buffer =>
  Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);
/** Header parts, filled up, and so many bytes of data. */
const file = (parts: readonly Buffer[], data = 0): Buffer => {
  const header = Buffer.concat(parts);
  return Buffer.concat([header, Buffer.alloc(Math.ceil(header.length / 32) * 32 - header.length + data)]);
};

const refusal = (bytes: Buffer): LowrankError => {
  try {
    parseGgufHeader(bytes, bytes.length, path);
  } catch (error) {
    if (LowrankError.is(error)) return error;
    throw error;
  }
  throw new Error("The file was accepted.");
};

describe("a damaged or hostile file is refused", () => {
  it.each<[string, Buffer, string]>([
    ["nothing", Buffer.alloc(0), "The file is empty."],
    ["another format", Buffer.from("PK\x03\x04 and more"), "This is not a GGUF file."],
    ["an old version", Buffer.concat([Buffer.from("GGUF"), u32(1), u64(0), u64(0)]), "This is version 1 of GGUF"],
    ["the other byte order", Buffer.concat([Buffer.from("GGUF"), Buffer.from([0, 0, 0, 3]), u64(0), u64(0)]), "version 50331648"],
    ["a beginning alone", head(0, 0).subarray(0, 20), "The file is cut short: its header goes on to byte 24, the file has 20."],
    ["endless tensors", file([head(2n ** 60n, 0)]), "The number of tensors is 1152921504606846976, more than a file of 32 bytes holds."],
    ["endless metadata", file([head(0, 2n ** 63n)]), "The number of metadata is 9223372036854775808"],
    ["an endless key", file([head(0, 1), u64(2n ** 62n), text("")], 64), "The length of a key is 4611686018427387904"],
    ["an endless list", file([head(0, 1), text("k"), u32(9), u32(6), u64(2n ** 61n)], 64), 'The length of the value of "k" is'],
    ["a list longer than the file", file([head(0, 1), text("k"), u32(9), u32(8), u64(100)], 64), 'The length of the value of "k" is 100'],
    ["lists of endless bytes", file([head(0, 1), text("k"), u32(9), u32(0), u64(9_000_000)], 9_000_000), "hold more than 8000000 values."],
    ["a list of lists", file([head(0, 1), text("k"), u32(9), u32(9), u64(1)], 64), 'The metadata "k" has the type 9'],
    ["an unknown type", file([head(0, 1), text("k"), u32(99)], 64), 'The metadata "k" has the type 99'],
    ["a key twice", file([head(0, 2), text("k"), u32(7), Buffer.of(1), text("k"), u32(7), Buffer.of(1)], 64), 'name "k" twice'],
    ["text that is no UTF-8", file([head(0, 1), u64(1), Buffer.of(0xff), u32(7), Buffer.of(1)], 64), "a key is not UTF-8."],
    ["a tensor twice", file([head(2, 0), tensor("t", [8], 0, 0), tensor("t", [8], 0, 32)], 64), 'names the tensor "t" twice'],
    ["five dimensions", file([head(1, 0), tensor("t", [1, 1, 1, 1, 1], 0, 0)], 64), "It has 5 dimensions; at most 4 are allowed."],
    ["many dimensions", file([head(1, 0), text("t"), u32(2 ** 31)], 64), "It has 2147483648 dimensions"],
    [
      "a type that is not read",
      file([head(1, 0), tensor("t", [256], 12, 0)], 256),
      "Its type has the code 12; read are f32, f16, q8_0, bf16.",
    ],
    ["half blocks", file([head(1, 0), tensor("t", [48], 8, 0)], 64), "Its rows of 48 elements hold no whole blocks of 32."],
    ["a shape beyond all files", file([head(1, 0), tensor("t", [2n ** 40n, 2n ** 40n], 0, 0)], 64), "Its shape is too large for any file."],
    ["more data than there are", file([head(1, 0), tensor("t", [64], 0, 0)], 128), "The file is cut short: the tensor ends at byte 320"],
    ["an offset beyond the end", file([head(1, 0), tensor("t", [8], 0, 2n ** 50n)], 64), "Its offset is 1125899906842624"],
    ["an offset between two places", file([head(1, 0), tensor("t", [8], 0, 8)], 64), "Its offset 8 is no multiple of 32."],
    [
      "overlapping tensors",
      file([head(2, 0), tensor("a", [16], 0, 0), tensor("b", [8], 0, 32)], 96),
      "overlap those of another tensor, up to 64",
    ],
    ["a crooked alignment", file([head(0, 1), text("general.alignment"), u32(4), u32(24)], 64), "The alignment 24 is no power of two."],
  ])("%s", (_, bytes, message) => {
    const error = refusal(bytes);
    expect(error.message).toContain(message);
    expect(error.where).toContain(path);
    expect(["invalid-file", "unsupported"]).toContain(error.code);
  });

  it("a header longer than any", () => {
    const prefix = Buffer.concat([head(0, 1), u64(200_000_000), Buffer.alloc(100)]);
    expect(() => parseGgufHeader(prefix, 300_000_000, path)).toThrow("The header is longer than 100000000 bytes.");
  });
});

describe("any other bytes", () => {
  let folder: string;
  let whole: Buffer;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-gguf-header-"));
    const name = join(folder, "a.gguf");
    await writeGguf(name, {
      metadata: new Map([
        ["general.architecture", gguf.string("llama")],
        ["list", gguf.strings(["a", "b"])],
        ["adapter.lora.alpha", gguf.f32(16)],
      ]),
      tensors: ["one", "two"].map((tensorName) => ({
        name: tensorName,
        type: "f32",
        shape: [2, 3],
        chunks: () => [encodeGguf(new Float32Array(6), "f32", tensorName)],
      })),
    });
    whole = readFileSync(name);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The file is read or refused, never anything else; what it takes is bounded by the file. */
  const settle = (bytes: Buffer): void => {
    try {
      const read = parseGgufHeader(bytes, bytes.length, path);
      for (const { offset, bytes: size } of read?.tensors.values() ?? []) expect(offset + size).toBeLessThanOrEqual(bytes.length);
    } catch (error) {
      if (!LowrankError.is(error)) throw error;
    }
  };

  it("are refused where the file ends early, at whichever byte", () => {
    const padding = 8; // behind the last tensor
    for (let length = 0; length < whole.length - padding; length++) {
      const cut = whole.subarray(0, length);
      expect(() => parseGgufHeader(cut, length, path), `${length} bytes`).toThrow(/cut short|empty|more than a file of/);
    }
  });

  it("ask for more where only a part has been read, at whichever byte", () => {
    const { offset } = parseGgufHeader(whole, whole.length, path)!.tensors.get("one")!;
    let complete = 0;
    for (let length = 0; length < offset; length++)
      if (parseGgufHeader(whole.subarray(0, length), whole.length, path) !== undefined) complete++;
    expect(complete).toBeLessThan(32); // the padding before the data
  });

  it("are read or refused where any are changed", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat(), fc.integer({ min: 0, max: 255 }), (at, byte, second, other) => {
        const bytes = Buffer.from(whole);
        bytes[at % bytes.length] = byte;
        bytes[second % bytes.length] = other;
        settle(bytes);
      }),
      { numRuns: 3000 },
    );
  });
});
