/** @file Takes an adapter from elsewhere into the library: resumes its files, verifies them, and merges what is known of it. It knows nothing about where it comes from. */
import { chmod, mkdir, open, rename, rm, stat, statfs } from "node:fs/promises";
import { constants } from "node:fs";
import { join } from "node:path";
import { LowrankError } from "../util/index.ts";
import { digestFile, type FileDigest } from "./digest.ts";
import type { LibraryFolder } from "./folder.ts";
import { ioFailed } from "./io-failed.ts";
import { adapterPath, asidePath, syncFolder } from "./layout.ts";
import { leavePartial, takePartial } from "./partial.ts";
import { claimAliases, clearDamage, isWhole, latestClaims, named, versionsOf } from "./publish.ts";
import { adapterFiles, labelOf, recordText, type AdapterFile, type AdapterRecord, type AliasClaim, type Version } from "./record.ts";
import type { AdapterEnd, ReadFile, TransferListener } from "./remotes/remote.ts";
import { inspectStaged } from "./stage.ts";

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => -1,
  );

const checkSpace = async (folder: string, bytes: number, where: string): Promise<void> => {
  const disk = await statfs(folder).catch(() => undefined); // some network drives do not say
  if (disk === undefined || bytes <= disk.bavail * disk.bsize) return;
  throw new LowrankError("io-failed", `The adapter needs ${bytes} bytes, and the disk has ${disk.bavail * disk.bsize} left.`, {
    where,
    fix: "Free some space, or use a library on another disk.",
  });
};

/** Writes what a file lacks from where it ends; gives the bytes that came. */
const resume = async (
  path: string,
  file: AdapterFile,
  { bytes }: FileDigest,
  read: ReadFile,
  tell: (received: number) => void,
): Promise<number> => {
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT);
  try {
    const start = Math.min((await handle.stat()).size, bytes);
    let position = start;
    tell(position);
    if (position < bytes)
      for await (const chunk of read(file, start)) {
        if (position + chunk.length > bytes)
          throw new LowrankError("network-failed", `${file} is longer than the ${bytes} bytes announced.`, {
            where: path,
            fix: "Do not use this source.",
          });
        for (let written = 0; written < chunk.length;)
          written += (await handle.write(chunk, written, chunk.length - written, position + written)).bytesWritten;
        position += chunk.length;
        tell(position);
      }
    if (position < bytes)
      throw new LowrankError("network-failed", `${file} ended after ${position} of ${bytes} bytes.`, {
        where: path,
        fix: "Run again to go on from there.",
      });
    await handle.truncate(bytes);
    await handle.sync();
    return position - start;
  } finally {
    await handle.close();
  }
};

/** Brings one file to a path; contents that do not match their digest are fetched once more from the first byte, then refused. */
const bringFile = async (
  library: string,
  file: AdapterFile,
  digest: FileDigest,
  read: ReadFile,
  to: string,
  tell: (received: number) => void,
): Promise<number> => {
  const partial = await takePartial(library, digest.sha256);
  let moved = 0;
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      moved += await resume(partial, file, digest, read, tell);
    } catch (error) {
      await leavePartial(partial);
      throw error;
    }
    if ((await digestFile(partial)).sha256 === digest.sha256) {
      await rename(partial, to);
      await chmod(to, 0o444);
      return moved;
    }
    await rm(partial, { force: true });
  }
  throw new LowrankError("network-failed", "The contents that arrived do not match their digest, twice.", {
    where: file,
    fix: "Try again later; nothing of it was kept.",
  });
};

/** Brings both files into a folder of their own in `aside`. */
const bringFiles = async (
  library: string,
  record: AdapterRecord,
  read: ReadFile,
  listen: TransferListener,
): Promise<{ path: string; moved: number }> => {
  const adapter = labelOf(record);
  await checkSpace(
    library,
    Object.values(record.files).reduce((sum, { bytes }) => sum + bytes, 0),
    adapter,
  );
  const path = asidePath(library);
  await mkdir(path).catch((error: unknown) => Promise.reject(ioFailed(error, library)));
  try {
    let moved = 0;
    for (const file of adapterFiles) {
      const digest = record.files[file];
      moved += await bringFile(library, file, digest, read, join(path, file), (received) =>
        listen({ type: "file-progress", adapter, file, received, total: digest.bytes }),
      );
    }
    await syncFolder(path);
    const staged = await inspectStaged(path, record.files, { base: record.lineage.base, where: adapter });
    if (staged.digest !== record.digest)
      throw new LowrankError("invalid-file", "The digest of the record is not that of weights, configuration and base.", {
        where: adapter,
        fix: "Do not use this source.",
      });
    return { path, moved };
  } catch (error) {
    await rm(path, { recursive: true, force: true });
    throw ioFailed(error, library);
  }
};

/** Of two libraries' words the later hold; names, aliases and numbers are settled elsewhere. */
export const mergedRecords = (ours: AdapterRecord | undefined, theirs: AdapterRecord): AdapterRecord => {
  if (ours === undefined) return { ...theirs, names: [], aliases: [] };
  const later = theirs.updated > ours.updated ? theirs : ours;
  const { tags, metrics, lineage, licence, notes, updated } = later;
  const created = ours.created < theirs.created ? ours.created : theirs.created;
  const embedding = later.embedding ?? ours.embedding ?? theirs.embedding;
  return { ...ours, tags, metrics, lineage, embedding, licence, notes, updated, created };
};

/** The record under all names that another library gave it, and the versions whose number was taken here. */
export const renamed = async (
  record: AdapterRecord,
  theirs: AdapterRecord,
  taken: (name: string) => Promise<ReadonlyMap<number, string>>,
): Promise<{ record: AdapterRecord; renumbered: { from: Version; to: Version }[] }> => {
  const renumbered: { from: Version; to: Version }[] = [];
  let result = record;
  for (const { name, version, published } of theirs.names) {
    result = named(result, await taken(name), { name, version, published });
    const to = result.names.find((one) => one.name === name)!;
    if (to.version !== version) renumbered.push({ from: { name, version }, to: { name, version: to.version } });
  }
  return { record: result, renumbered };
};

/** Whether the files of a record lie in their places: by their lengths or, thoroughly, by their digests. */
const isHere = async ({ folder }: LibraryFolder, record: AdapterRecord, thorough: boolean): Promise<boolean> => {
  const sizes = await Promise.all(adapterFiles.map((file) => sizeOf(join(adapterPath(folder, record.digest), file))));
  return adapterFiles.every((file, index) => sizes[index] === record.files[file].bytes) && (!thorough || isWhole(folder, record));
};

/**
 * Takes an adapter in, with everything its record says; what is here already is not moved. `thorough` reads what is here and puts whole
 * files in the place of damaged ones.
 */
export const receive = async (
  library: LibraryFolder,
  theirs: AdapterRecord,
  read: ReadFile,
  listen: TransferListener,
  { thorough = false } = {},
): Promise<AdapterEnd> => {
  const adapter = labelOf(theirs);
  const { digest } = theirs;
  listen({ type: "adapter-start", adapter, digest, bytes: Object.values(theirs.files).reduce((sum, { bytes }) => sum + bytes, 0) });
  const here = await isHere(library, theirs, thorough);
  const staged = here ? undefined : await bringFiles(library.folder, theirs, read, listen);
  const end = await library.change(async (writer) => {
    const known = library.read(digest);
    if (staged !== undefined) await clearDamage(library, writer, theirs);
    const { record, renumbered } = await renamed(mergedRecords(known, theirs), theirs, (name) =>
      library.ask((database) => versionsOf(database, name)),
    );
    const write = (claiming: AdapterRecord): Promise<void> =>
      staged === undefined ? writer.write(claiming) : writer.place(claiming, staged.path);
    const isNewer = (claim: AliasClaim): boolean =>
      !record.aliases.some(({ name, alias, since }) => name === claim.name && alias === claim.alias && since >= claim.since);
    const claims = await latestClaims(library, digest, theirs.aliases.filter(isNewer));
    const isKnown = staged === undefined && known !== undefined && claims.length === 0 && recordText(record) === recordText(known);
    if (!isKnown) await claimAliases(library, writer, record, claims, write);
    const outcome = known === undefined ? "new" : isKnown ? "present" : "merged";
    return { type: "adapter-end", adapter, digest, outcome, moved: staged?.moved ?? 0, renumbered } as const;
  });
  listen(end);
  return end;
};
