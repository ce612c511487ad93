/** @file Downloads one file's contents: resumes what is there, verifies the checksum, renames into place. It knows nothing about models. */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { LowrankError } from "../util/index.ts";
import { exists } from "./hub-cache.ts";
import { request, type HubAnswer, type HubClient } from "./hub-client.ts";
import { PassingFailure, withRetries } from "./hub-retry.ts";

/** The contents of one file as the hub announces them. */
export interface RemoteFile {
  readonly name: string;
  /** The address of the file, relative to the hub's. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** The name of the contents: sha256 (64 hex digits) of large files, git's sha1 (40) of small ones. */
  readonly tag: string;
}

/** The bytes of a transfer that was broken off, beside where they will be. */
export const incompletePath = (blob: string): string => `${blob}.incomplete`;

const writeAll = async (handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> => {
  for (let written = 0; written < bytes.length;) {
    written += (await handle.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
  }
};

const hasher = ({ tag, size }: RemoteFile): Hash | undefined => {
  if (/^[0-9a-f]{64}$/.test(tag)) return createHash("sha256");
  // A git blob is hashed with its header.
  return /^[0-9a-f]{40}$/.test(tag) ? createHash("sha1").update(`blob ${size}\0`) : undefined;
};

// What is verified is what lies on the disk, not what passed by on its way there.
const isSound = async (handle: FileHandle, file: RemoteFile): Promise<boolean> => {
  if ((await handle.stat()).size !== file.size) return false;
  const hash = hasher(file);
  if (hash === undefined) return true;
  for await (const chunk of handle.createReadStream({ start: 0, autoClose: false })) hash.update(chunk as Uint8Array);
  return hash.digest("hex") === file.tag;
};

// A server that knows no ranges sends the whole file.
const firstByteOf = ({ headers, status }: HubAnswer, asked: number): number => {
  if (status !== 206) return 0;
  const range = /^bytes (\d+)-/.exec(headers.get("content-range") ?? "");
  return range === null ? asked : Number(range[1]);
};

// Bytes go to their own positions, so that two processes that write the same file at once do it no harm.
const transferRest = async (
  client: HubClient,
  file: RemoteFile,
  handle: FileHandle,
  onReceived: (received: number) => void,
): Promise<void> => {
  const start = (await handle.stat()).size;
  onReceived(start);
  if (start >= file.size) return;
  let position = start;
  try {
    const answer = await request(client, file.path, { from: start });
    const first = firstByteOf(answer, start);
    if (first > start) throw new PassingFailure(`${file.name} was sent from byte ${first} on, not from ${start}.`);
    position = first;
    for await (const chunk of answer.body()) {
      if (position + chunk.length > file.size) throw new PassingFailure(`${file.name} is longer than the ${file.size} bytes announced.`);
      await writeAll(handle, chunk, position);
      position += chunk.length;
      onReceived(position);
    }
    if (position < file.size) throw new PassingFailure(`${file.name} ended after ${position} of ${file.size} bytes.`);
  } catch (error) {
    if (!(error instanceof PassingFailure)) throw error;
    throw new PassingFailure(error.message, { retryAfter: error.retryAfter, progressed: position > start, cause: error });
  }
};

/**
 * Downloads a file to `blob`, going on from an incomplete one. `onReceived` hears how many of its bytes are on the disk.
 * Contents that do not match their checksum are fetched once more from the first byte, then refused; they are never left at `blob`.
 */
export const downloadBlob = async (
  client: HubClient,
  file: RemoteFile,
  blob: string,
  onReceived: (received: number) => void,
): Promise<void> => {
  const incomplete = incompletePath(blob);
  for (let mismatches = 0; mismatches < 2; mismatches++) {
    const handle = await open(incomplete, constants.O_RDWR | constants.O_CREAT);
    let sound: boolean;
    try {
      await withRetries(client.policy, () => transferRest(client, file, handle, onReceived));
      await handle.sync();
      sound = await isSound(handle, file);
    } finally {
      await handle.close();
    }
    if (sound) {
      await rename(incomplete, blob).catch(async (error: unknown) => {
        if (!(await exists(blob))) throw error; // Another process was here first.
      });
      return;
    }
    await rm(incomplete, { force: true });
  }
  throw new LowrankError("network-failed", `The contents that arrived do not match their checksum ${file.tag}, twice.`, {
    where: file.name,
    fix: "Try again later or from another network; nothing of it was kept.",
  });
};
