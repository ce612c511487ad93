/** @file `lowrank library verify`: reads every byte and says what is not as it was published. */
import { z } from "zod";
import type { Finding } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { formatBytes, formatCount } from "../../ui/format.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  adapters: z.array(z.string()).default([]).describe("adapters to look at; default: all"),
  ...libraryOption,
});

const harmless: readonly Finding["kind"][] = ["orphan", "leftover"];

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const findings: Finding[] = [];
    let sound = 0;
    let bytes = 0;
    for await (const finding of library.verify(given.adapters.length === 0 ? undefined : given.adapters)) {
      bytes += finding.bytes;
      if (finding.kind === "sound") sound += 1;
      else {
        findings.push(finding);
        context.out(`${finding.kind}  ${finding.what}: ${finding.problems.join(" ")}`);
      }
    }
    const damaged = findings.filter(({ kind }) => !harmless.includes(kind)).length;
    context.out(`${formatCount(sound)} sound (${formatBytes(bytes)} read), ${formatCount(damaged)} damaged.`);
    if (damaged > 0) {
      context.err("Add or pull the damaged adapters again, which puts whole files in their place, or remove them.");
      context.exitCode = 1;
    } else if (findings.length > 0) context.out("The rest does no harm and goes with `lowrank library gc`.");
    return { sound, damaged, bytes, findings };
  });

export const verify = defineCommand({
  name: "verify",
  summary: "check every adapter against its digest",
  examples: ["lowrank library verify", "lowrank library verify orders@2 --json"],
  positional: ["adapters"],
  options,
  load: async () => ({ run }),
});
