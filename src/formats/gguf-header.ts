/** @file Checks a GGUF header against the size of its file before anything is allocated for a tensor. It opens no file. */
import { LowrankError } from "../util/index.ts";
import {
  aligned,
  arrayCode,
  ggufAlignment,
  ggufBytes,
  ggufNumbers,
  ggufTensorTypes,
  stringCode,
  type GgufMetadata,
  type GgufTensorType,
  type GgufValue,
} from "./gguf-types.ts";
import { quoted } from "./safetensors-header.ts";

/** Where a tensor's blocks are: `bytes` of them, `offset` into the file; its shape is row-major. */
export interface GgufTensor {
  readonly path: string;
  readonly type: GgufTensorType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** What a GGUF file says about itself. */
export interface GgufFile {
  readonly path: string;
  readonly metadata: GgufMetadata;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** The longest header that is read: twice what the largest vocabularies take. */
export const longestGgufHeader = 100_000_000;
const mostDimensions = 4;
/** Values that all lists of a header hold together at most: four times what the largest vocabularies have. */
const mostListed = 8_000_000;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const damaged = (where: string, what: string): LowrankError => new LowrankError("invalid-file", what, { where, fix: "Download it again." });

type ScalarType = Exclude<GgufValue["type"], "array">;
const scalarTypes: ReadonlyMap<number, ScalarType> = new Map([
  ...(Object.keys(ggufNumbers) as (keyof typeof ggufNumbers)[]).map((type): [number, ScalarType] => [ggufNumbers[type].code, type]),
  [stringCode, "string"],
]);
const tensorTypes: ReadonlyMap<number, GgufTensorType> = new Map(
  (Object.keys(ggufTensorTypes) as GgufTensorType[]).map((type) => [ggufTensorTypes[type].code, type]),
);

/** Reads values one after another from the first bytes of a file; `cut` is thrown where more of them are needed. */
const readerOf = (prefix: Uint8Array, size: number, path: string, cut: unknown) => {
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  let at = 0;
  let listed = 0;
  /** Moves on by `bytes`, which the file must have, and returns where they begin. */
  const take = (bytes: number): number => {
    if (at + bytes > size) throw damaged(path, `The file is cut short: its header goes on to byte ${at + bytes}, the file has ${size}.`);
    if (at + bytes > longestGgufHeader) throw damaged(path, `The header is longer than ${longestGgufHeader} bytes.`);
    if (at + bytes > prefix.length) throw cut;
    at += bytes;
    return at - bytes;
  };
  const u32 = (): number => view.getUint32(take(4), true);
  /** A length or an offset: no more than the file has bytes for each of its `least`. */
  const count = (what: string, least: number): number => {
    const value = view.getBigUint64(take(8), true);
    if (value * BigInt(least) > BigInt(size)) throw damaged(path, `${what} is ${value}, more than a file of ${size} bytes holds.`);
    return Number(value);
  };
  /** How many values a list has. */
  const length = (what: string, least: number): number => {
    const value = count(`The length of ${what}`, least);
    listed += value;
    if (listed > mostListed) throw damaged(path, `The lists of the header hold more than ${mostListed} values.`);
    return value;
  };
  const string = (what: string): string => {
    const start = take(count(`The length of ${what}`, 1));
    try {
      return utf8.decode(prefix.subarray(start, at));
    } catch (error) {
      throw new LowrankError("invalid-file", `${what} is not UTF-8.`, { where: path, fix: "Download it again.", cause: error });
    }
  };
  const scalar = (type: ScalarType, what: string) =>
    type === "string" ? string(what) : ggufNumbers[type].read(view, take(ggufNumbers[type].bytes));
  return { u32, count, length, string, scalar, position: () => at };
};

type Reader = ReturnType<typeof readerOf>;

const scalarType = (code: number, key: string, path: string): ScalarType => {
  const type = scalarTypes.get(code);
  if (type === undefined) throw damaged(path, `The metadata ${quoted(key)} has the type ${code}, which is none of GGUF's here.`);
  return type;
};

const readValue = ({ u32, length, scalar }: Reader, key: string, path: string): GgufValue => {
  const code = u32();
  const what = `the value of ${quoted(key)}`;
  if (code !== arrayCode) {
    const type = scalarType(code, key, path);
    return { type, value: scalar(type, what) };
  }
  const of = scalarType(u32(), key, path);
  const size = length(what, of === "string" ? 8 : ggufNumbers[of].bytes);
  const values: (number | bigint | boolean | string)[] = [];
  for (let index = 0; index < size; index++) values.push(scalar(of, what));
  return { type: "array", of, values };
};

/** A tensor as the header lists it; `offset` counts from where the data begin. */
interface Entry {
  readonly type: GgufTensorType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

const readEntry = ({ u32, count }: Reader, where: string): Entry => {
  const dimensions = u32();
  if (dimensions > mostDimensions) throw damaged(where, `It has ${dimensions} dimensions; at most ${mostDimensions} are allowed.`);
  const shape = Array.from({ length: dimensions }, () => count("A dimension", 0)).toReversed();
  const code = u32();
  const offset = count("Its offset", 1);
  const type = tensorTypes.get(code);
  if (type === undefined)
    throw new LowrankError("unsupported", `Its type has the code ${code}; read are ${[...tensorTypes.values()].join(", ")}.`, {
      where,
      fix: "Convert the file to F16 or F32.",
    });
  const { elements } = ggufTensorTypes[type];
  if ((shape.at(-1) ?? 1) % elements !== 0)
    throw damaged(where, `Its rows of ${shape.at(-1)} elements hold no whole blocks of ${elements}.`);
  const bytes = ggufBytes(type, shape);
  if (!Number.isSafeInteger(bytes)) throw damaged(where, "Its shape is too large for any file.");
  return { type, shape, offset, bytes };
};

const alignmentOf = (metadata: GgufMetadata, path: string): number => {
  const stored = metadata.get("general.alignment");
  const alignment = stored?.type === "u32" ? Number(stored.value) : ggufAlignment;
  if (alignment < 1 || !Number.isInteger(Math.log2(alignment))) throw damaged(path, `The alignment ${alignment} is no power of two.`);
  return alignment;
};

/** Every tensor lies in the file, at a multiple of the alignment, and shares no byte with another. */
const place = (entries: ReadonlyMap<string, Entry>, dataStart: number, alignment: number, size: number, path: string) => {
  let covered = 0;
  for (const [name, { offset, bytes }] of [...entries].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes)) {
    const where = `${path}, tensor ${quoted(name)}`;
    if (offset % alignment !== 0) throw damaged(where, `Its offset ${offset} is no multiple of ${alignment}.`);
    if (offset < covered) throw damaged(where, `Its bytes from ${offset} overlap those of another tensor, up to ${covered}.`);
    covered = offset + bytes;
    if (dataStart + covered > size)
      throw damaged(where, `The file is cut short: the tensor ends at byte ${dataStart + covered}, the file has ${size}.`);
  }
  return new Map([...entries].map(([name, entry]): [string, GgufTensor] => [name, { path, ...entry, offset: dataStart + entry.offset }]));
};

const parse = (reader: Reader, size: number, path: string): GgufFile => {
  const { u32, count, string, position } = reader;
  if (u32() !== 0x46554747) throw damaged(path, "This is not a GGUF file.");
  const version = u32();
  if (version !== 2 && version !== 3)
    throw new LowrankError("unsupported", `This is version ${version} of GGUF; versions 2 and 3 are read.`, { where: path });
  const tensorCount = count("The number of tensors", 24);
  const metadataCount = count("The number of metadata", 13);
  const metadata = new Map<string, GgufValue>();
  for (let index = 0; index < metadataCount; index++) {
    const key = string("a key");
    if (metadata.has(key)) throw damaged(path, `The metadata name ${quoted(key)} twice.`);
    metadata.set(key, readValue(reader, key, path));
  }
  const entries = new Map<string, Entry>();
  for (let index = 0; index < tensorCount; index++) {
    const name = string("a tensor's name");
    if (entries.has(name)) throw damaged(path, `The header names the tensor ${quoted(name)} twice.`);
    entries.set(name, readEntry(reader, `${path}, tensor ${quoted(name)}`));
  }
  const alignment = alignmentOf(metadata, path);
  return { path, metadata, tensors: place(entries, aligned(position(), alignment), alignment, size, path) };
};

/**
 * Parses the header of a file of `size` bytes from the first of them; undefined where it goes on behind those.
 * Whatever in it does not fit the file is an `invalid-file` error.
 */
export const parseGgufHeader = (prefix: Uint8Array, size: number, path: string): GgufFile | undefined => {
  if (size === 0) throw damaged(path, "The file is empty.");
  const cut = new Error("more bytes are needed");
  try {
    return parse(readerOf(prefix, size, path, cut), size, path);
  } catch (error) {
    if (error === cut) return undefined;
    throw error;
  }
};
