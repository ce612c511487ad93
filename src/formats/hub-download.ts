/** @file Brings the missing files of one snapshot into the cache. It knows nothing about which files are needed, or why. */
import { mkdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { LowrankError } from "../util/index.ts";
import { downloadBlob, incompletePath, type RemoteFile } from "./hub-blob.ts";
import { blobPath, exists, linkIntoSnapshot, lockPath, snapshotPath, writeReference, type CachedModel } from "./hub-cache.ts";
import type { HubClient } from "./hub-client.ts";
import { describeFile, type HubListing } from "./hub-listing.ts";
import { withLock } from "./hub-lock.ts";
import { withRetries } from "./hub-retry.ts";

/** How far a download is; told for every piece that arrives. */
export interface HubProgress {
  readonly file: string;
  /** Bytes of this file that are on the disk, and all of them. */
  readonly received: number;
  readonly total: number;
  /** Files of this download that are complete, and all of them. */
  readonly filesDone: number;
  readonly filesTotal: number;
}

const sizeOnDisk = (path: string): Promise<number> =>
  stat(path).then(
    (found) => found.size,
    () => 0,
  );

const checkSpace = async (model: CachedModel, files: readonly RemoteFile[]): Promise<void> => {
  let missing = 0;
  for (const { size, tag } of files) {
    const blob = blobPath(model, tag);
    missing += size - Math.max(await sizeOnDisk(blob), await sizeOnDisk(incompletePath(blob)));
  }
  const disk = await statfs(model.folder).catch(() => undefined); // Some network drives do not say.
  if (disk === undefined || missing <= disk.bavail * disk.bsize) return;
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new LowrankError(
    "io-failed",
    `The download needs ${gigabytes(missing)}, and the disk has ${gigabytes(disk.bavail * disk.bsize)} left.`,
    {
      where: model.folder,
      fix: "Free some space, or set HF_HUB_CACHE to a folder on another disk.",
    },
  );
};

const absentFiles = async (snapshot: string, names: readonly string[]): Promise<readonly string[]> => {
  const present = await Promise.all(names.map((name) => exists(join(snapshot, name))));
  return names.filter((_, index) => !present[index]);
};

/** Brings the blobs one after the other, then makes all links: a snapshot that has its weights has everything else. */
const bringFiles = async (
  client: HubClient,
  model: CachedModel,
  listing: HubListing,
  names: readonly string[],
  onProgress: ((progress: HubProgress) => void) | undefined,
): Promise<void> => {
  const files: RemoteFile[] = [];
  for (const name of names) files.push(await withRetries(client.policy, () => describeFile(client, listing, name)));
  await mkdir(join(model.folder, "blobs"), { recursive: true });
  await checkSpace(model, files);
  for (const [index, file] of files.entries()) {
    const blob = blobPath(model, file.tag);
    const tell = (received: number): void => {
      const filesDone = received < file.size ? index : index + 1;
      onProgress?.({ file: file.name, received, total: file.size, filesDone, filesTotal: files.length });
    };
    if (await exists(blob)) tell(file.size);
    else await downloadBlob(client, file, blob, tell);
  }
  for (const file of files) await linkIntoSnapshot(model, listing.commit, file.name, file.tag);
};

/** Completes a snapshot with the files of the listing that are named, and remembers its commit as the revision's; gives its folder. */
export const downloadSnapshot = async (
  client: HubClient,
  model: CachedModel,
  revision: string,
  listing: HubListing,
  names: readonly string[],
  onProgress?: (progress: HubProgress) => void,
): Promise<string> => {
  const snapshot = snapshotPath(model, listing.commit);
  if ((await absentFiles(snapshot, names)).length === 0) {
    // A cache that is mounted read-only still serves.
    await writeReference(model, revision, listing.commit).catch(() => undefined);
    return snapshot;
  }
  await withLock(lockPath(model), async () => {
    // Another process may have brought them while this one waited.
    await bringFiles(client, model, listing, await absentFiles(snapshot, names), onProgress);
    await writeReference(model, revision, listing.commit);
  });
  return snapshot;
};
