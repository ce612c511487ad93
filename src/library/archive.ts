/** @file One adapter with its record as a tar archive or a folder, to carry elsewhere. It knows nothing about networks. */
import { createReadStream } from "node:fs";
import { lstat, mkdir, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { isObject, listFolder, readJsonObject, withFile, writeAtomically, writeFileAtomically } from "../formats/index.ts";
import { readExactly } from "../formats/disk.ts";
import { LowrankError, messageOf } from "../util/index.ts";
import { digestFile, type FileDigest } from "./digest.ts";
import { getAdapter } from "./find.ts";
import type { LibraryFolder } from "./folder.ts";
import { adapterPath } from "./layout.ts";
import { receive } from "./receive.ts";
import { adapterFiles, longestRecord, recordOf, recordText, type AdapterFile, type AdapterRecord } from "./record.ts";
import type { AdapterEnd, ReadFile, TransferListener } from "./remotes/remote.ts";
import { tarEnd, tarEntries, tarHeader, tarPadding, type TarEntry } from "./tar.ts";

const recordName = "record.json";
const names: readonly string[] = [recordName, ...adapterFiles];

/** `team/tales@2` as one part of a path: `team-tales-2`. */
export const archiveName = ({ names: [first], digest }: AdapterRecord): string =>
  first === undefined ? digest.slice("sha256:".length, 19) : `${first.name.replaceAll("/", "-")}-${first.version}`;

const checkTarget = async (path: string): Promise<void> => {
  if ((await stat(path).catch(() => undefined)) === undefined) return;
  throw new LowrankError("invalid-argument", "There is something of this name already.", { where: path, fix: "Choose another --output." });
};

/** Copies a file of an adapter behind what was written so far; one that is damaged is refused. */
const append = async (handle: FileHandle, from: string, { sha256 }: FileDigest): Promise<void> => {
  const found = await digestFile(from, (chunk) => handle.writeFile(chunk));
  if (found.sha256 === sha256) return;
  throw new LowrankError("invalid-file", "The file is not the one that was published: its digest differs.", {
    where: from,
    fix: "Add or pull the adapter again, which puts whole files in their place.",
  });
};

const writeFolder = async (from: string, record: AdapterRecord, to: string): Promise<void> => {
  await mkdir(to, { recursive: true });
  for (const file of adapterFiles) await writeAtomically(join(to, file), (handle) => append(handle, join(from, file), record.files[file]));
  await writeFileAtomically(join(to, recordName), recordText(record)); // last: it vouches for the others
};

const writeTar = (from: string, record: AdapterRecord, to: string): Promise<void> =>
  writeAtomically(to, async (handle) => {
    const folder = archiveName(record).slice(0, 60);
    const changed = new Date(record.created);
    const text = Buffer.from(recordText(record));
    await handle.writeFile(tarHeader(`${folder}/${recordName}`, text.length, changed));
    await handle.writeFile(Buffer.concat([text, tarPadding(text.length)]));
    for (const file of adapterFiles) {
      const { bytes } = record.files[file];
      await handle.writeFile(tarHeader(`${folder}/${file}`, bytes, changed));
      await append(handle, join(from, file), record.files[file]);
      await handle.writeFile(tarPadding(bytes));
    }
    await handle.writeFile(tarEnd());
  });

/** Writes an adapter with its record: a path that ends in `.tar` becomes an archive, any other a folder. The same adapter gives the same bytes. */
export const exportAdapter = async (library: LibraryFolder, reference: string, path: string): Promise<AdapterRecord> => {
  const record = await getAdapter(library, reference);
  await checkTarget(path);
  await (path.endsWith(".tar") ? writeTar : writeFolder)(adapterPath(library.folder, record.digest), record, path);
  return record;
};

const foreign = (name: string, path: string): LowrankError =>
  new LowrankError(
    "invalid-file",
    `${JSON.stringify(name.slice(0, 120))} does not belong into the archive of an adapter and was refused.`,
    {
      where: path,
      fix: "Nothing was written; do not use this source.",
    },
  );

/** The three files of an archive, all in one folder or in none, and nothing else. */
const filesOf = async (entries: AsyncIterable<TarEntry>, path: string): Promise<Map<string, TarEntry>> => {
  const found = new Map<string, TarEntry>();
  let folder: string | undefined;
  for await (const entry of entries) {
    const [, parent, name] = /^(?:\.\/)?(?:([A-Za-z0-9][\w.-]*)\/)?([\w.]+)$/.exec(entry.name) ?? [];
    folder ??= parent ?? "";
    if (name === undefined || !names.includes(name) || (parent ?? "") !== folder || found.has(name)) throw foreign(entry.name, path);
    found.set(name, entry);
  }
  const absent = names.filter((name) => !found.has(name));
  if (absent.length > 0)
    throw new LowrankError("invalid-file", `The archive has no ${absent.join(" and no ")}.`, {
      where: path,
      fix: "Export the adapter again.",
    });
  return found;
};

const parseRecord = (bytes: Uint8Array, path: string): AdapterRecord => {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    return recordOf(isObject(value) ? value : {}, `${path}, ${recordName}`);
  } catch (error) {
    if (LowrankError.is(error)) throw error;
    throw new LowrankError("invalid-file", `The record is not valid JSON: ${messageOf(error)}.`, {
      where: path,
      fix: "Export the adapter again.",
      cause: error,
    });
  }
};

interface Source {
  readonly record: AdapterRecord;
  readonly read: ReadFile;
}

const openTar = (path: string): Promise<Source> =>
  withFile(path, async (handle, size) => {
    const files = await filesOf(tarEntries(handle, size, path), path);
    const { bytes, offset } = files.get(recordName)!;
    if (bytes > longestRecord)
      throw new LowrankError("invalid-file", `The record has ${bytes} bytes; at most ${longestRecord} are read.`, {
        where: path,
        fix: "Do not use this source.",
      });
    const text = new Uint8Array(bytes);
    await readExactly(handle, text, offset, path);
    const record = parseRecord(text, path);
    for (const file of adapterFiles)
      if (files.get(file)!.bytes !== record.files[file].bytes)
        throw new LowrankError(
          "invalid-file",
          `${file} has ${files.get(file)!.bytes} bytes in the archive and ${record.files[file].bytes} in the record.`,
          {
            where: path,
            fix: "Export the adapter again.",
          },
        );
    const read = (file: AdapterFile, from: number): AsyncIterable<Uint8Array> => {
      const entry = files.get(file)!;
      return createReadStream(path, { start: entry.offset + from, end: entry.offset + entry.bytes - 1, highWaterMark: 2 ** 20 });
    };
    return { record, read };
  });

const openFolder = async (path: string): Promise<Source> => {
  const present = await listFolder(path);
  for (const name of present) if (!names.includes(name) || !(await lstat(join(path, name))).isFile()) throw foreign(name, path);
  const record = recordOf(await readJsonObject(join(path, recordName)), join(path, recordName));
  return { record, read: (file, from) => createReadStream(join(path, file), { start: from, highWaterMark: 2 ** 20 }) };
};

/** Takes what `exportAdapter` wrote into the library, verified as anything from elsewhere. */
export const importAdapter = async (
  library: LibraryFolder,
  path: string,
  listen: TransferListener = () => undefined,
): Promise<AdapterEnd> => {
  const stats = await stat(path).catch((error: unknown) => {
    throw new LowrankError("not-found", `The archive cannot be read: ${messageOf(error)}.`, {
      where: path,
      fix: "Check the path.",
      cause: error,
    });
  });
  const { record, read } = await (stats.isDirectory() ? openFolder : openTar)(path);
  return receive(library, record, read, listen, { thorough: true });
};
