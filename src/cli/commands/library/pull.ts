/** @file `lowrank library pull`: brings adapters from elsewhere. */
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
      const summary = await library.pull(remote, choice);
      context.out(summaryText(`from ${remote.address}`, summary));
      return summary;
    },
    { createHere: true, createThere: false },
  );

export const pull = defineCommand({
  name: "pull",
  summary: "bring adapters from another place",
  examples: [
    "lowrank library pull /mnt/shared/adapters",
    "lowrank library pull https://models.example.org/adapters orders:prod",
    "lowrank library pull hub:org/orders",
  ],
  positional: ["remote", "adapters"],
  options,
  load: async () => ({ run }),
});
