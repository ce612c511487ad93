/** @file Another library in a folder, on this machine or on a drive that is shared. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { findAdapter } from "../find.ts";
import { openLibraryFolder } from "../folder.ts";
import { adapterPath } from "../layout.ts";
import { receive } from "../receive.ts";
import { everyRecord } from "../records.ts";
import type { AdapterFile } from "../record.ts";
import type { Remote } from "./remote.ts";

const readFrom = (folder: string) => (file: AdapterFile, from: number) =>
  createReadStream(join(folder, file), { start: from, highWaterMark: 2 ** 20 }) as AsyncIterable<Uint8Array>;

/** Opens a folder as a remote; `create` makes the library where there is none. */
export const folderRemote = async (path: string, { create = false } = {}): Promise<Remote> => {
  const library = await openLibraryFolder(path, { create });
  return {
    address: library.folder,
    records: () => everyRecord(library),
    find: (reference) => findAdapter(library, reference),
    read: ({ digest }, file, from) => readFrom(adapterPath(library.folder, digest))(file, from),
    write: (record, folder, listen) => receive(library, record, readFrom(folder), listen),
    close: () => Promise.resolve(library.close()),
  };
};
