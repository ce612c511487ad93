/** @file `lowrank library rebuild`: makes the index anew from the folder. */
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { formatCount, formatDuration } from "../../ui/format.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({ ...libraryOption });

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const started = performance.now();
    await library.rebuild();
    const seconds = (performance.now() - started) / 1000;
    const { total, unreadable } = await library.search({ everyVersion: true, limit: 0 });
    context.out(`${formatCount(total)} versions in ${formatDuration(seconds)}.`);
    if (unreadable > 0) context.err(`Note: ${formatCount(unreadable)} records cannot be read. \`lowrank library verify\` names them.`);
    return { library: library.folder, total, unreadable, seconds };
  });

export const rebuild = defineCommand({
  name: "rebuild",
  summary: "make the index anew from the folder",
  examples: ["lowrank library rebuild"],
  options,
  load: async () => ({ run }),
});
