/** @file `lowrank library alias`: lets a word such as `prod` stand for a version. */
import { z } from "zod";
import { LowrankError } from "../../../util/index.ts";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  adapter: z.string().describe("name@version that the alias is to stand for, or name:alias to take away"),
  alias: z.string().optional().describe("the alias, such as prod"),
  remove: z.boolean().default(false).describe("take the alias away"),
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const [name, held] = given.adapter.split(/[@:]/, 2);
    const alias = given.alias ?? held;
    if (alias === undefined || (given.alias === undefined && !given.remove))
      throw new LowrankError("invalid-argument", "No alias is given.", { fix: "Write for example `lowrank library alias orders@2 prod`." });
    if (given.remove) {
      await library.removeAlias(name, alias);
      context.out(`${name}:${alias} stands for nothing now.`);
      return { name, alias, digest: null };
    }
    const { digest, names } = await library.setAlias(given.adapter, alias);
    const version = names.find((one) => one.name === name)?.version;
    context.out(`${name}:${alias} stands for ${name}@${version}.`);
    return { name, alias, version, digest };
  });

export const alias = defineCommand({
  name: "alias",
  summary: "let a word such as prod stand for a version",
  examples: ["lowrank library alias orders@2 prod", "lowrank library alias orders:prod --remove"],
  positional: ["adapter", "alias"],
  options,
  load: async () => ({ run }),
});
