/** @file `lowrank library list`: the adapters of the library. */
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { showEntries } from "./entry-table.ts";
import { libraryOption, queryOf, queryOptions, withLibrary } from "./options.ts";

const options = z.object({ ...queryOptions, ...libraryOption });

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library, floor) => ({
    library: library.folder,
    ...showEntries(await library.search(queryOf(given, floor)), context),
  }));

export const list = defineCommand({
  name: "list",
  summary: "show the adapters of the library",
  examples: [
    "lowrank library list",
    "lowrank library list --tag language=fr --base SmolLM2 --sort loss",
    'lowrank library list --metric "accuracy>=0.9" --all-versions --json',
  ],
  options,
  load: async () => ({ run }),
});
