/** @file `lowrank library import`: takes exported adapters in. */
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { libraryOption, withLibrary } from "./options.ts";
import { transferView } from "./transfer-view.ts";

const options = z.object({
  archives: z.array(z.string()).min(1).describe("what `lowrank library export` wrote: archives or folders"),
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(
    given,
    async (library) => {
      const view = transferView(context);
      const imported: object[] = [];
      try {
        for (const path of given.archives) imported.push({ path, ...(await library.import(path, view.listen)) });
      } finally {
        view.close();
      }
      return { library: library.folder, imported };
    },
    { create: true },
  );

export const importAdapter = defineCommand({
  name: "import",
  summary: "take exported adapters into the library",
  examples: ["lowrank library import orders-2.tar", "lowrank library import *.tar"],
  positional: ["archives"],
  options,
  load: async () => ({ run }),
});
