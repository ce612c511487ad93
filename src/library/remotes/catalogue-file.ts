/** @file Writes a library's catalogue beside it, for a web server that serves the folder. */
import { join } from "node:path";
import { writeAtomically } from "../../formats/index.ts";
import type { LibraryFolder } from "../folder.ts";
import { everyRecord } from "../records.ts";
import { catalogueName, recordLine } from "./catalogue.ts";

/** Writes `catalogue.jsonl`; gives the number of adapters in it. */
export const writeCatalogue = async (library: LibraryFolder): Promise<number> => {
  let count = 0;
  await writeAtomically(join(library.folder, catalogueName), async (handle) => {
    for await (const record of everyRecord(library)) {
      await handle.writeFile(recordLine(record));
      count += 1;
    }
  });
  return count;
};
