/** @file `lowrank library remove`: takes versions out of the library. */
import { z } from "zod";
import type { Version } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  adapters: z.array(z.string()).min(1).describe("name@version, name:alias, name or sha256:digits"),
  allVersions: z.boolean().default(false).describe("remove every version of a name"),
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const removed: Version[] = [];
    for (const reference of given.adapters) {
      const gone = await library.remove(reference, { everyVersion: given.allVersions });
      for (const { name, version } of gone) context.out(`removed ${name}@${version}`);
      removed.push(...gone);
    }
    context.out("The files stay until `lowrank library gc`.");
    return { removed };
  });

export const remove = defineCommand({
  name: "remove",
  summary: "take versions out of the library",
  examples: ["lowrank library remove orders@1", "lowrank library remove drafts --all-versions"],
  positional: ["adapters"],
  options,
  load: async () => ({ run }),
});
