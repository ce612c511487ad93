/** @file Shows how adapters move: one line each, and a bar while a large file is on its way. It knows nothing about where they move. */
import type { TransferEvent } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { formatBytes } from "../../ui/format.ts";
import { downloadView } from "../../ui/progress.ts";

export interface TransferView {
  listen(event: TransferEvent): void;
  close(): void;
}

const outcomes = { new: "new", merged: "known better now", present: "there already" } as const;

/** A listener for transfers. */
export const transferView = (context: CommandContext): TransferView => {
  // Files are shown while they move only: their ends would say less than the adapter's.
  const bars = downloadView({ ...context, columns: context.columns, err: () => undefined });
  return {
    listen(event) {
      if (event.type === "file-progress" && context.isTerminal && event.received < event.total)
        bars.listen({ ...event, file: event.adapter, filesDone: 0, filesTotal: 1 });
      if (event.type !== "adapter-end") return;
      bars.close();
      const moved = event.moved === 0 ? "" : `, ${formatBytes(event.moved)}`;
      context.out(`${event.adapter}  ${outcomes[event.outcome]}${moved}`);
      for (const { from, to } of event.renumbered)
        context.out(`  ${from.name}@${from.version} was taken by another adapter; this one became ${to.name}@${to.version}.`);
    },
    close: () => bars.close(),
  };
};
