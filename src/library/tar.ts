/** @file Tar archives of regular files (POSIX ustar): written entry by entry, read by their headers alone. It knows nothing about adapters. */
import type { FileHandle } from "node:fs/promises";
import { readExactly } from "../formats/disk.ts";
import { LowrankError } from "../util/index.ts";

const block = 512;

/** A regular file in an archive: its bytes begin at `offset` and lie together. */
export interface TarEntry {
  readonly name: string;
  readonly bytes: number;
  readonly offset: number;
}

const field = (header: Uint8Array, start: number, length: number): string => {
  const bytes = header.subarray(start, start + length);
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString("utf8");
};

// The sum of all bytes with spaces in the place of the sum itself.
const checksum = (header: Uint8Array): number => header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 32 : byte), 0);

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;

const padding = (bytes: number): number => (block - (bytes % block)) % block;

/** The header of a regular file that anyone may read. */
export const tarHeader = (name: string, bytes: number, changed: Date): Buffer => {
  const header = Buffer.alloc(block);
  const put = (text: string, start: number): void => void header.write(text, start, "utf8");
  if (Buffer.byteLength(name) > 100 || bytes >= 8 ** 11)
    throw new LowrankError("invalid-argument", "A tar archive has no place for a file of this name and size.", { where: name });
  put(name, 0);
  put(octal(0o644, 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  put(octal(bytes, 11), 124);
  put(octal(Math.floor(changed.getTime() / 1000), 11), 136);
  put("0", 156);
  put("ustar\u000000", 257);
  put(`${checksum(header).toString(8).padStart(6, "0")}\0 `, 148);
  return header;
};

/** What follows the bytes of a file, and what follows the last one. */
export const tarPadding = (bytes: number): Buffer => Buffer.alloc(padding(bytes));
export const tarEnd = (): Buffer => Buffer.alloc(2 * block);

const kinds: Readonly<Record<string, string>> = {
  "1": "a hard link",
  "2": "a symbolic link",
  "3": "a device",
  "4": "a device",
  "6": "a pipe",
};

/**
 * The regular files of an archive of `size` bytes. Folders and notes about times are passed over. Anything else, a header that is
 * damaged, and a file that ends behind the archive's end are `invalid-file`; no contents are read.
 */
export async function* tarEntries(handle: FileHandle, size: number, path: string): AsyncGenerator<TarEntry> {
  const refuse = (what: string, fix = "Get the archive again."): LowrankError =>
    new LowrankError("invalid-file", what, { where: path, fix });
  const header = new Uint8Array(block);
  for (let at = 0; at + block <= size;) {
    await readExactly(handle, header, at, path);
    if (header.every((byte) => byte === 0)) return;
    const stated = Number.parseInt(field(header, 148, 8).trim(), 8);
    if (stated !== checksum(header)) throw refuse("This is not a tar archive, or it is damaged: the sum of a header is wrong.");
    const sizeText = field(header, 124, 12).trim();
    if (!/^[0-7]{1,12}$/.test(sizeText)) throw refuse("The archive gives a size in a form that is not read.");
    const bytes = Number.parseInt(sizeText, 8);
    const prefix = field(header, 257, 5) === "ustar" ? field(header, 345, 155) : "";
    const name = prefix === "" ? field(header, 0, 100) : `${prefix}/${field(header, 0, 100)}`;
    const type = String.fromCharCode(header[156]).replace("\0", "0");
    const offset = at + block;
    if (offset + bytes > size)
      throw refuse(`The archive is cut short: ${JSON.stringify(name)} has ${bytes} bytes, ${size - offset} are left.`);
    if (type === "0") yield { name, bytes, offset };
    else if (!/[5xg]/.test(type))
      throw refuse(
        `${JSON.stringify(name)} is ${kinds[type] ?? "no regular file"} and was refused.`,
        "Nothing was written; do not use this source.",
      );
    at = offset + bytes + padding(bytes);
  }
}
