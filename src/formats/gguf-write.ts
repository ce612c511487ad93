/** @file Writes GGUF files, one tensor at a time. It knows nothing about models or adapters. */
import { LowrankError } from "../util/index.ts";
import { writeAtomically } from "./atomic.ts";
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

/** A tensor to be written: `chunks` gives its bytes in order, whenever the writer gets to it. */
export interface GgufSource {
  readonly name: string;
  readonly type: GgufTensorType;
  /** Row-major, as everywhere here; the file lists the dimensions from the last to the first. */
  readonly shape: readonly number[];
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

export interface GgufContent {
  readonly metadata: GgufMetadata;
  readonly tensors: readonly GgufSource[];
}

const bytesOf = (size: number, write: (view: DataView) => void): Buffer => {
  const bytes = Buffer.alloc(size);
  write(new DataView(bytes.buffer, bytes.byteOffset, size));
  return bytes;
};
const u32 = (value: number): Buffer => bytesOf(4, (view) => view.setUint32(0, value, true));
const u64 = (value: number): Buffer => bytesOf(8, (view) => view.setBigUint64(0, BigInt(value), true));
const string = (text: string): Buffer => {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.length), bytes]);
};

const scalars = (type: Exclude<GgufValue["type"], "array">, values: readonly unknown[]): Buffer => {
  if (type === "string") return Buffer.concat(values.map((value) => string(value as string)));
  const { bytes, write } = ggufNumbers[type];
  return bytesOf(values.length * bytes, (view) => values.forEach((value, index) => write(view, index * bytes, value as never)));
};
const codeOf = (type: Exclude<GgufValue["type"], "array">): number => (type === "string" ? stringCode : ggufNumbers[type].code);

const valueBytes = (value: GgufValue): Buffer => {
  if (value.type !== "array") return Buffer.concat([u32(codeOf(value.type)), scalars(value.type, [value.value])]);
  return Buffer.concat([u32(arrayCode), u32(codeOf(value.of)), u64(value.values.length), scalars(value.of, value.values)]);
};

const version = 3;

const headerOf = ({ metadata, tensors }: GgufContent, where: string): Buffer => {
  const parts = [Buffer.from("GGUF"), u32(version), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) parts.push(string(key), valueBytes(value));
  const seen = new Set<string>();
  let offset = 0;
  for (const { name, type, shape } of tensors) {
    if (seen.has(name)) throw new LowrankError("invalid-argument", `The name ${JSON.stringify(name)} is taken.`, { where });
    seen.add(name);
    const { code, elements } = ggufTensorTypes[type];
    if (shape.at(-1)! % elements !== 0)
      throw new LowrankError("invalid-argument", `Rows of ${shape.at(-1)} elements hold no whole blocks of ${elements}.`, {
        where: `${where}, tensor ${JSON.stringify(name)}`,
      });
    parts.push(string(name), u32(shape.length), ...shape.toReversed().map(u64), u32(code), u64(offset));
    offset = aligned(offset + ggufBytes(type, shape), ggufAlignment);
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header], aligned(header.length, ggufAlignment));
};

/**
 * Writes metadata and tensors atomically, in the order given; the same input gives the same bytes.
 * @example await writeGguf("tales.gguf", { metadata: new Map([["general.architecture", gguf.string("llama")]]), tensors: [] });
 */
export const writeGguf = async (path: string, content: GgufContent): Promise<void> => {
  const header = headerOf(content, path);
  await writeAtomically(path, async (handle) => {
    await handle.writeFile(header);
    for (const { name, type, shape, chunks } of content.tensors) {
      const size = ggufBytes(type, shape);
      let written = 0;
      for await (const chunk of chunks()) {
        await handle.writeFile(chunk);
        written += chunk.length;
      }
      if (written !== size)
        throw new LowrankError("shape-mismatch", `The tensor gave ${written} bytes where its shape and type take ${size}.`, {
          where: `${path}, tensor ${JSON.stringify(name)}`,
        });
      await handle.writeFile(new Uint8Array(aligned(size, ggufAlignment) - size));
    }
  });
};
