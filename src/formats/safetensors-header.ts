/** @file Checks a safetensors header against the size of its file before anything is allocated for a tensor. It opens no file. */
import { basename } from "node:path";
import type { WeightLocation } from "../graph/index.ts";
import { dtypes, LowrankError, sizeOf, type DType } from "../util/index.ts";
import { isObject, parseJsonObject } from "./json.ts";

/** What the values of a tensor in 4 bits are made from. */
export interface PackedLevels {
  /** The value of each level. */
  readonly map: WeightLocation;
  /** The scale of each block, itself packed where `nested` says how. */
  readonly absmax: WeightLocation;
  readonly blockSize: number;
  readonly nested?: { readonly map: WeightLocation; readonly absmax: WeightLocation; readonly blockSize: number; readonly offset: number };
}

/** Where a tensor's bytes are: `bytes` of them, `offset` into the file at the absolute `path`, little-endian and row-major. */
export interface TensorLocation extends WeightLocation {
  /** Where present, the bytes there are levels of 4 bits, and the values that they stand for have the shape and dtype of this location. */
  readonly packed?: PackedLevels;
}

/** What a safetensors file says about itself. */
export interface SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorLocation>;
}

/** Bytes before the header: its length as a little-endian u64. */
export const prefixBytes = 8;
/** The longest header that the format allows. */
export const longestHeader = 100_000_000;
export const metadataKey = "__metadata__";

const downloadAgain = "Download it again.";
const dtypeNames: ReadonlyMap<string, DType> = new Map((Object.keys(dtypes) as DType[]).map((dtype) => [dtype.toUpperCase(), dtype]));

const damaged = (where: string, what: string, fix = downloadAgain): LowrankError => new LowrankError("invalid-file", what, { where, fix });

/** A tensor's name as messages show it; damaged files hold endless names. */
export const quoted = (name: string): string => JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);

/** The refusal of a file of pickles, with the way to convert it into `target`. */
export const pickleRefused = (path: string, target: string): LowrankError =>
  new LowrankError("unsupported", "This is a file of Python pickles, which can run code when they are read; only safetensors is read.", {
    where: path,
    fix:
      "Convert it once, in Python with PyTorch: import torch; from safetensors.torch import save_file; " +
      `tensors = torch.load(${JSON.stringify(basename(path))}, map_location="cpu", weights_only=True); ` +
      `save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, "${target}", {"format": "pt"})`,
  });

// A zip, as PyTorch writes it since 1.6, and the pickle protocols 2 to 5.
const pickleStarts = ["PK\x03\x04", "\x80\x02", "\x80\x03", "\x80\x04", "\x80\x05"];

/** Names what a file is that begins with these bytes and is not safetensors. */
const foreign = (start: string, path: string): LowrankError | undefined => {
  if (pickleStarts.some((bytes) => start.startsWith(bytes))) return pickleRefused(path, "model.safetensors");
  if (start.startsWith("GGUF"))
    return new LowrankError("unsupported", "This is a GGUF file; safetensors is expected here.", {
      where: path,
      fix: "Download the model in its original form.",
    });
  if (start.startsWith("version "))
    return damaged(path, "This is a pointer of Git LFS, not the weights it stands for.", "Run `git lfs pull` in its folder.");
  if (/^\s*</.test(start)) return damaged(path, "This is a web page, not weights.", "Download the file itself.");
  return undefined;
};

/** The length of the header that a file of `size` bytes promises in its first eight, checked against that size. */
export const headerLength = (prefix: Uint8Array, size: number, path: string): number => {
  if (size === 0) throw damaged(path, "The file is empty.");
  const alien = foreign(String.fromCharCode(...prefix), path);
  if (size < prefixBytes) throw alien ?? damaged(path, `The file has ${size} bytes, too few for a safetensors file.`);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > longestHeader)
    throw (
      alien ??
      damaged(path, `This is not a safetensors file: its header would be ${length} bytes long, at most ${longestHeader} are allowed.`)
    );
  if (prefixBytes + Number(length) > size)
    throw alien ?? damaged(path, `The file is cut short: its header promises ${prefixBytes + Number(length)} bytes, the file has ${size}.`);
  return Number(length);
};

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const locationOf = (name: string, entry: unknown, dataStart: number, path: string): TensorLocation => {
  const where = `${path}, tensor ${quoted(name)}`;
  if (!isObject(entry)) throw damaged(where, "Its entry in the header is not an object.");
  const { dtype: dtypeName, shape, data_offsets: range } = entry;
  if (typeof dtypeName !== "string") throw damaged(where, "Its entry in the header has no dtype.");
  const dtype = dtypeNames.get(dtypeName);
  if (dtype === undefined)
    throw new LowrankError("unsupported", `Its dtype ${quoted(dtypeName)} is not read; known: ${[...dtypeNames.keys()].join(", ")}.`, {
      where,
      fix: "Convert the checkpoint to BF16 or F32.",
    });
  if (!Array.isArray(shape) || !shape.every(isCount)) throw damaged(where, "Its shape is not a list of whole numbers from 0.");
  if (!Array.isArray(range) || range.length !== 2 || !range.every(isCount))
    throw damaged(where, "Its data_offsets are not two whole numbers from 0.");
  const [begin, end] = range;
  if (begin > end) throw damaged(where, `Its bytes end at ${end}, before they begin at ${begin}.`);
  const bytes = sizeOf(shape) * dtypes[dtype].bytes;
  if (!Number.isSafeInteger(bytes)) throw damaged(where, "Its shape is too large for any file.");
  if (bytes !== end - begin)
    throw damaged(
      where,
      `Its shape [${shape.slice(0, 8).join(", ")}] of ${dtypeName} needs ${bytes} bytes, its data_offsets span ${end - begin}.`,
    );
  return { path, dtype, shape, offset: dataStart + begin, bytes };
};

/** Every byte after the header belongs to one tensor: no overlap, no hole, no remainder, and none beyond the end. */
const checkCoverage = (tensors: ReadonlyMap<string, TensorLocation>, dataStart: number, size: number, path: string): void => {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  let covered = dataStart;
  for (const [name, { offset, bytes }] of inOrder) {
    const where = `${path}, tensor ${quoted(name)}`;
    if (offset < covered)
      throw damaged(where, `Its bytes from ${offset - dataStart} overlap those of another tensor, up to ${covered - dataStart}.`);
    if (offset > covered) throw damaged(where, `The ${offset - covered} bytes before it belong to no tensor.`);
    covered = offset + bytes;
  }
  if (covered > size) throw damaged(path, `The file is cut short: its header promises ${covered} bytes, the file has ${size}.`);
  if (covered < size) throw damaged(path, `The last ${size - covered} bytes belong to no tensor.`);
};

// The reference library parses no deeper; unbounded nesting takes a parser minutes.
const deepest = 128;
const [quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = Buffer.from('"\\{}[]');

/** The texts at the first level of JSON in the order of the file, quotes included: where every value is an object, these are its keys. */
const outermostTexts = (json: Uint8Array, path: string): Uint8Array[] => {
  const texts: Uint8Array[] = [];
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) {
      const start = at++;
      while (at < json.length && json[at] !== quote) at += json[at] === backslash ? 2 : 1;
      if (depth === 1) texts.push(json.subarray(start, at + 1));
    } else if (byte === openBrace || byte === openBracket) {
      depth++;
      if (depth > deepest) throw damaged(path, `The header is nested more than ${deepest} levels deep.`);
    } else if (byte === closeBrace || byte === closeBracket) depth--;
  }
  return texts;
};

const checkUnique = (texts: readonly Uint8Array[], path: string): void => {
  const seen = new Set<string>();
  for (const text of texts) {
    const key = JSON.parse(Buffer.from(text).toString()) as string;
    if (seen.has(key)) throw damaged(path, `The header names ${quoted(key)} twice.`);
    seen.add(key);
  }
};

/** Parses a header of a file of `size` bytes; whatever in it does not fit that file is an `invalid-file` error that names the tensor. */
export const parseHeader = (header: Uint8Array, size: number, path: string): SafetensorsFile => {
  const dataStart = prefixBytes + header.length;
  const texts = outermostTexts(header, path);
  const { [metadataKey]: metadata = {}, ...entries } = parseJsonObject(header, path, "The header", downloadAgain);
  if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === "string"))
    throw damaged(path, `${metadataKey} is not an object of texts.`);
  const tensors = new Map<string, TensorLocation>();
  for (const [name, entry] of Object.entries(entries)) tensors.set(name, locationOf(name, entry, dataStart, path));
  checkUnique(texts, path);
  checkCoverage(tensors, dataStart, size, path);
  return { path, metadata: metadata as Record<string, string>, tensors };
};
