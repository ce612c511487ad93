/** @file `lowrank library push`: takes adapters elsewhere. */
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
      const summary = await library.push(remote, choice);
      context.out(summaryText(`to ${remote.address}`, summary));
      return summary;
    },
    { createHere: false, createThere: true },
  );

export const push = defineCommand({
  name: "push",
  summary: "take adapters to another place",
  examples: [
    "lowrank library push /mnt/shared/adapters",
    "lowrank library push s3://adapters/team orders:prod --endpoint https://storage.example.org",
    "lowrank library push hub:org/orders orders@2",
  ],
  positional: ["remote", "adapters"],
  options,
  load: async () => ({ run }),
});
