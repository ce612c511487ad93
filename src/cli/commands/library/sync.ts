/** @file `lowrank library sync`: brings what is missing here and takes what is missing there. */
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { summaryText, transfer, transferOptions } from "./transfer-options.ts";

const options = z.object(transferOptions);

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  transfer(
    given,
    context,
    async (library, remote, choice) => {
      const summaries = await library.sync(remote, choice);
      context.out(summaryText(`from ${remote.address}`, summaries.pulled));
      context.out(summaryText(`to ${remote.address}`, summaries.pushed));
      return summaries;
    },
    { createHere: true, createThere: true },
  );

export const sync = defineCommand({
  name: "sync",
  summary: "bring what is missing here, take what is missing there",
  examples: ["lowrank library sync /mnt/shared/adapters", "lowrank library sync s3://adapters/team"],
  positional: ["remote", "adapters"],
  options,
  load: async () => ({ run }),
});
