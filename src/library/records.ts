/** @file Goes through the records of a library in the order of their digests, a page at a time. It knows nothing about what they are wanted for. */
import type { LibraryFolder } from "./folder.ts";
import type { AdapterRecord } from "./record.ts";
import { rows } from "./sql.ts";

const page = 256;

/** The records of all adapters that have a name. */
export async function* everyRecord(library: LibraryFolder): AsyncGenerator<AdapterRecord> {
  for (let after = ""; ;) {
    const digests = await library.ask((database) =>
      rows<[string]>(
        database,
        `SELECT digest FROM adapter WHERE digest > ? AND EXISTS (SELECT 1 FROM version WHERE adapter = id AND NOT retired)
         ORDER BY digest LIMIT ${page}`,
        after,
      ),
    );
    for (const [digest] of digests) {
      const record = library.read(digest);
      if (record !== undefined && record.names.length > 0) yield record;
    }
    if (digests.length < page) return;
    [after] = digests[digests.length - 1];
  }
}
