/** @file The options that `push`, `pull` and `sync` share, and how they are carried out. It knows nothing about places. */
import { z } from "zod";
import type { Library, Remote, TransferOptions, TransferSummary } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { formatBytes, formatCount } from "../../ui/format.ts";
import { libraryOption, withLibrary } from "./options.ts";
import { transferView } from "./transfer-view.ts";

export const transferOptions = {
  remote: z.string().describe("folder of a library, s3://bucket/prefix, https://server/folder or hub:org/name"),
  adapters: z.array(z.string()).default([]).describe("adapters to move; default: all"),
  endpoint: z.string().optional().describe("server of the bucket or the hub, where it is not the usual one").meta({ placeholder: "url" }),
  ...libraryOption,
};

export type TransferFlags = z.output<z.ZodObject<typeof transferOptions>>;

/** Moves adapters as the flags say, shows them as they move, and closes both sides. */
export const transfer = <Result extends object>(
  given: TransferFlags,
  context: CommandContext,
  act: (library: Library, remote: Remote, options: TransferOptions) => Promise<Result>,
  { createHere, createThere }: { readonly createHere: boolean; readonly createThere: boolean },
): Promise<Result & { library: string; remote: string }> =>
  withLibrary(
    given,
    async (library, { openRemote }) => {
      const { endpoint } = given;
      const remote = await openRemote(given.remote, { create: createThere, ...(endpoint !== undefined && { endpoint }) });
      const view = transferView(context);
      try {
        const result = await act(library, remote, {
          listen: view.listen,
          ...(given.adapters.length > 0 && { references: given.adapters }),
        });
        return { library: library.folder, remote: remote.address, ...result };
      } finally {
        view.close();
        await remote.close();
      }
    },
    { create: createHere },
  );

/** `3 adapters to …: 1 new, 1 better known, 120 kB.` */
export const summaryText = (direction: string, { adapters, new: fresh, merged, moved }: TransferSummary): string =>
  `${formatCount(adapters)} adapters ${direction}: ${formatCount(fresh)} new, ${formatCount(merged)} known better now, ${formatBytes(moved)}.`;
