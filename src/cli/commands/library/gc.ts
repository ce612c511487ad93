/** @file `lowrank library gc`: frees the space of what was removed. */
import { z } from "zod";
import type { Collected } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { formatBytes, formatCount } from "../../ui/format.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  dryRun: z.boolean().default(false).describe("say what would go, and leave it"),
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const collected: Collected[] = [];
    for await (const one of library.collect({ dryRun: given.dryRun })) {
      context.out(`${one.kind}  ${one.what}  ${formatBytes(one.bytes)}`);
      collected.push(one);
    }
    const bytes = collected.reduce((sum, one) => sum + one.bytes, 0);
    context.out(`${given.dryRun ? "Would free" : "Freed"} ${formatBytes(bytes)} in ${formatCount(collected.length)} places.`);
    return { collected, bytes, dryRun: given.dryRun };
  });

export const gc = defineCommand({
  name: "gc",
  summary: "free the space of what was removed",
  examples: ["lowrank library gc --dry-run", "lowrank library gc"],
  options,
  load: async () => ({ run }),
});
