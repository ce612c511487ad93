/** @file Writes safetensors files as the reference library does, one tensor at a time. It knows nothing about models or adapters. */
import { dtypes, LowrankError, sizeOf, type DType, type HostTensor } from "../util/index.ts";
import { writeAtomically } from "./atomic.ts";
import { metadataKey, prefixBytes } from "./safetensors-header.ts";

/** A tensor to be written: `chunks` gives its little-endian, row-major bytes in order, whenever the writer gets to it. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

// The reference library's order: larger alignments first, so that every tensor is aligned.
const order: readonly DType[] = ["u64", "i64", "f64", "f32", "u32", "i32", "bf16", "f16", "u16", "i16", "i8", "u8", "bool"];

/** Those of one type behind each other, in the order in which they come. */
export const inTypeOrder = <T extends { readonly dtype: DType }>(tensors: readonly T[]): T[] =>
  [...tensors].sort((a, b) => order.indexOf(a.dtype) - order.indexOf(b.dtype));

/** Orders names by their UTF-8 bytes, as the reference library does; negative where `a` comes first. */
export const compareNames = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Tensors in host memory as sources for the writers. */
export const tensorSources = (tensors: ReadonlyMap<string, HostTensor>): TensorSource[] =>
  Array.from(tensors, ([name, { dtype, shape, data }]) => ({
    name,
    dtype,
    shape,
    chunks: () => [new Uint8Array(data.buffer, data.byteOffset, data.byteLength)],
  }));

/** Bytes that a tensor takes in a file. */
export const bytesOf = ({ dtype, shape }: Pick<TensorSource, "dtype" | "shape">): number => sizeOf(shape) * dtypes[dtype].bytes;

const headerOf = (sources: readonly TensorSource[], metadata: Readonly<Record<string, string>>, where: string): Buffer => {
  const entries: [string, unknown][] = [];
  const texts = Object.entries(metadata).sort(([a], [b]) => compareNames(a, b));
  if (texts.length > 0) entries.push([metadataKey, Object.fromEntries(texts)]);
  const seen = new Set<string>([metadataKey]);
  let offset = 0;
  for (const source of sources) {
    const { name, dtype, shape } = source;
    if (seen.has(name)) throw new LowrankError("invalid-argument", `The name ${JSON.stringify(name)} is taken.`, { where });
    seen.add(name);
    const end = offset + bytesOf(source);
    entries.push([name, { dtype: dtype.toUpperCase(), shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(`{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join(",")}}`);
  const header = Buffer.alloc(prefixBytes + Math.ceil(json.length / 8) * 8, " ");
  header.writeBigUInt64LE(BigInt(header.length - prefixBytes));
  json.copy(header, prefixBytes);
  return header;
};

/**
 * Writes tensors and metadata atomically; the same input gives the same bytes, in whatever order it comes.
 * @example await writeSafetensors("out.safetensors", tensorSources(new Map([["x", f32([1, 2, 3])]])), { format: "pt" });
 */
export const writeSafetensors = async (
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> =>
  writeInOrder(
    path,
    [...tensors].sort((a, b) => compareNames(a.name, b.name)),
    metadata,
  );

/** The same, but tensors of one type lie behind each other in the order in which they come. */
export const writeInOrder = async (
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
): Promise<void> => {
  const sources = inTypeOrder(tensors);
  const header = headerOf(sources, metadata, path);
  await writeAtomically(path, async (handle) => {
    await handle.writeFile(header);
    for (const source of sources) {
      let written = 0;
      for await (const chunk of source.chunks()) {
        await handle.writeFile(chunk);
        written += chunk.length;
      }
      if (written !== bytesOf(source))
        throw new LowrankError("shape-mismatch", `The tensor gave ${written} bytes where its shape and dtype take ${bytesOf(source)}.`, {
          where: `${path}, tensor ${JSON.stringify(source.name)}`,
        });
    }
  });
};
