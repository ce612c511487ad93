/** @file `lowrank library export`: an adapter with its record as an archive or a folder. */
import { resolve } from "node:path";
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { formatBytes } from "../../ui/format.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  adapter: z.string().describe("name, name@version, name:alias or sha256:digits"),
  output: z.string().optional().describe("archive (.tar) or folder to write; default: NAME-VERSION.tar here").meta({ placeholder: "path" }),
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library, { archiveName, labelOf }) => {
    const output = resolve(given.output ?? `${archiveName(await library.get(given.adapter))}.tar`);
    const record = await library.export(given.adapter, output);
    const bytes = Object.values(record.files).reduce((sum, file) => sum + file.bytes, 0);
    context.out(`${labelOf(record)} in ${output}: ${formatBytes(bytes)}.`);
    return { output, bytes, digest: record.digest };
  });

export const exportAdapter = defineCommand({
  name: "export",
  summary: "write an adapter with its record as an archive",
  examples: ["lowrank library export orders", "lowrank library export orders:prod --output orders.tar"],
  positional: ["adapter"],
  options,
  load: async () => ({ run }),
});
