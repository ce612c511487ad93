/** @file Reads safetensors files: the header, then single tensors or chunks of them. It knows nothing about models or adapters. */
import { resolve } from "node:path";
import { dtypes, LowrankError, sizeOf, widenBf16, widenF16, type HostTensor } from "../util/index.ts";
import { unpackedChunks } from "./bitsandbytes.ts";
import { readExactly, withFile } from "./disk.ts";
import { headerLength, parseHeader, prefixBytes, type SafetensorsFile, type TensorLocation } from "./safetensors-header.ts";

/**
 * Reads and checks a header; no tensor is read.
 * @example const { tensors } = await readSafetensorsHeader("model.safetensors"); tensors.get("lm_head.weight")?.shape
 */
export const readSafetensorsHeader = (path: string): Promise<SafetensorsFile> => {
  const absolute = resolve(path);
  return withFile(absolute, async (handle, size) => {
    const prefix = new Uint8Array(Math.min(prefixBytes, size));
    await readExactly(handle, prefix, 0, absolute);
    const header = new Uint8Array(headerLength(prefix, size, absolute));
    await readExactly(handle, header, prefixBytes, absolute);
    return parseHeader(header, size, absolute);
  });
};

/** The bytes of a tensor in order, at most `chunkBytes` at a time; each chunk is valid until the next is asked for. */
export async function* tensorChunks(location: TensorLocation, chunkBytes = 4 * 2 ** 20): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { path, offset, bytes, packed } = location;
  if (packed !== undefined) {
    yield* unpackedChunks({ ...location, packed });
    return;
  }
  const buffer = new Uint8Array(Math.min(bytes, chunkBytes));
  for (let done = 0; done < bytes; done += chunkBytes) {
    const chunk = buffer.subarray(0, Math.min(bytes - done, chunkBytes));
    await withFile(path, (handle) => readExactly(handle, chunk, offset + done, path));
    yield chunk;
  }
}

/** The values of a tensor in order as float32, some MiB of the file at a time; each chunk is valid until the next is asked for. */
export async function* float32Chunks(location: TensorLocation): AsyncGenerator<Float32Array> {
  const { array, bytes } = dtypes[location.dtype];
  for await (const chunk of tensorChunks(location))
    yield toFloat32({ dtype: location.dtype, data: new array(chunk.buffer, 0, chunk.length / bytes) });
}

const roomFor = (bytes: number, path: string): Uint8Array<ArrayBuffer> => {
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    throw new LowrankError("out-of-memory", `There is no room for a tensor of ${bytes} bytes.`, { where: path, cause: error });
  }
};

/** A tensor in its own dtype, copied into host memory. */
export const readTensor = async (location: TensorLocation): Promise<HostTensor> => {
  const { path, dtype, shape, offset, packed } = location;
  const content = roomFor(packed === undefined ? location.bytes : sizeOf(shape) * dtypes[dtype].bytes, path);
  if (packed === undefined) await withFile(path, (handle) => readExactly(handle, content, offset, path));
  else {
    let done = 0;
    for await (const chunk of tensorChunks(location)) {
      content.set(chunk, done);
      done += chunk.length;
    }
  }
  return { dtype, shape, data: new dtypes[dtype].array(content.buffer) };
};

/** The values of a tensor as float32; float32 data is returned as it is, f64 and integers are rounded. */
export const toFloat32 = ({ dtype, data }: Pick<HostTensor, "dtype" | "data">): Float32Array => {
  if (dtype === "f32") return data as Float32Array;
  if (dtype === "bf16") return widenBf16(data as Uint16Array);
  if (dtype === "f16") return widenF16(data as Uint16Array);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float32Array.from<bigint>(data, Number);
  return new Float32Array(data);
};

const spanBytes = 4 * 2 ** 20;

/** Tensors in the order of their bytes, in groups of neighbours of some MiB together, or of one that is larger. */
const inSpans = (tensors: ReadonlyMap<string, TensorLocation>): { start: number; bytes: number; members: [string, TensorLocation][] }[] => {
  const spans: { start: number; bytes: number; members: [string, TensorLocation][] }[] = [];
  for (const [name, location] of [...tensors].sort(([, a], [, b]) => a.offset - b.offset)) {
    const last = spans.at(-1);
    const end = location.offset + location.bytes;
    if (last === undefined || end - last.start > spanBytes)
      spans.push({ start: location.offset, bytes: location.bytes, members: [[name, location]] });
    else {
      last.bytes = end - last.start;
      last.members.push([name, location]);
    }
  }
  return spans;
};

/**
 * Reads tensors where a header has them in its file, as float32, in the order of their bytes and some MiB at a time: many small ones much
 * faster than one by one.
 * What `use` is handed is valid until it returns.
 */
export const eachTensorF32 = (
  path: string,
  tensors: ReadonlyMap<string, TensorLocation>,
  use: (name: string, tensor: HostTensor) => void,
): Promise<void> =>
  withFile(path, async (handle) => {
    const spans = inSpans(tensors);
    const room = roomFor(Math.max(0, ...spans.map(({ bytes }) => bytes)), path);
    for (const { start, bytes, members } of spans) {
      const span = room.subarray(0, bytes);
      await readExactly(handle, span, start, path);
      for (const [name, { dtype, shape, offset, bytes: length }] of members) {
        const { array, bytes: width } = dtypes[dtype];
        const own = span.subarray(offset - start, offset - start + length);
        const aligned = own.byteOffset % width === 0 ? own : own.slice();
        use(name, { dtype: "f32", shape, data: toFloat32({ dtype, data: new array(aligned.buffer, aligned.byteOffset, length / width) }) });
      }
    }
  });

/** A tensor of any dtype as float32 in host memory. */
export const readTensorF32 = async (location: TensorLocation): Promise<HostTensor> => ({
  dtype: "f32",
  shape: location.shape,
  data: toFloat32(await readTensor(location)),
});
