/** @file Reads GGUF files: the header, then single tensors as float32. It knows nothing about models or adapters. */
import { resolve } from "node:path";
import { LowrankError, type HostTensor } from "../util/index.ts";
import { readExactly, withFile } from "./disk.ts";
import { decodeGguf } from "./gguf-blocks.ts";
import { longestGgufHeader, parseGgufHeader, type GgufFile, type GgufTensor } from "./gguf-header.ts";

/**
 * Reads and checks a header; no tensor is read.
 * @example const { metadata, tensors } = await readGgufHeader("adapter.gguf"); metadata.get("general.architecture")
 */
export const readGgufHeader = (path: string): Promise<GgufFile> => {
  const absolute = resolve(path);
  return withFile(absolute, async (handle, size) => {
    // Nothing says how long the header is: most fit the first piece, vocabularies need several.
    for (let length = 2 ** 16; ; length *= 4) {
      const prefix = new Uint8Array(Math.min(length, size, longestGgufHeader));
      await readExactly(handle, prefix, 0, absolute);
      const file = parseGgufHeader(prefix, size, absolute);
      if (file !== undefined) return file;
    }
  });
};

/** A tensor of any type as float32 in host memory. */
export const readGgufTensor = async ({ path, type, shape, offset, bytes }: GgufTensor): Promise<HostTensor> => {
  let blocks: Uint8Array<ArrayBuffer>;
  try {
    blocks = new Uint8Array(bytes);
  } catch (error) {
    throw new LowrankError("out-of-memory", `There is no room for a tensor of ${bytes} bytes.`, { where: path, cause: error });
  }
  await withFile(path, (handle) => readExactly(handle, blocks, offset, path));
  return { dtype: "f32", shape, data: decodeGguf(blocks, type) };
};
