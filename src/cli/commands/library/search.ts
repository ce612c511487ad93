/** @file `lowrank library search`: adapters by the words of their names, tags, bases and notes. */
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { showEntries } from "./entry-table.ts";
import { libraryOption, queryOf, queryOptions, withLibrary } from "./options.ts";

const options = z.object({
  words: z.array(z.string()).min(1).describe("beginnings of words that names, tags, base, run or notes hold"),
  ...queryOptions,
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library, floor) => ({
    library: library.folder,
    ...showEntries(await library.search({ ...queryOf(given, floor), text: given.words.join(" ") }), context),
  }));

export const search = defineCommand({
  name: "search",
  summary: "find adapters by words, tags, base and metrics",
  examples: [
    "lowrank library search french cooking",
    'lowrank library search sql --tag domain=retail --metric "accuracy>0.8" --sort -accuracy',
  ],
  positional: ["words"],
  options,
  load: async () => ({ run }),
});
