/** @file `lowrank library rebuild`: makes the index anew from the folder, and the catalogue. */
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { formatCount, formatDuration } from "../../ui/format.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  catalogue: z.boolean().default(false).describe("also write catalogue.jsonl, which a web server needs that serves the folder"),
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const started = performance.now();
    await library.rebuild();
    const seconds = (performance.now() - started) / 1000;
    const { total, unreadable } = await library.search({ everyVersion: true, limit: 0 });
    context.out(`${formatCount(total)} versions in ${formatDuration(seconds)}.`);
    if (unreadable > 0) context.err(`Note: ${formatCount(unreadable)} records cannot be read. \`lowrank library verify\` names them.`);
    const catalogued = given.catalogue ? await library.writeCatalogue() : null;
    if (catalogued !== null) context.out(`The catalogue names ${formatCount(catalogued)} adapters.`);
    return { library: library.folder, total, unreadable, seconds, catalogued };
  });

export const rebuild = defineCommand({
  name: "rebuild",
  summary: "make the index anew from the folder",
  examples: ["lowrank library rebuild", "lowrank library rebuild --catalogue"],
  options,
  load: async () => ({ run }),
});
