/** @file Shows how a download comes along: one line that is redrawn on a terminal, a line per file elsewhere. It knows nothing about networks. */
import pc from "picocolors";
import type { CommandContext } from "../context.ts";
import { bar } from "./bar.ts";
import { formatBytes, formatDuration } from "./format.ts";
import { fitParts } from "./width.ts";

/** What a download says; the hub's progress has this shape. */
export interface DownloadProgress {
  readonly file: string;
  readonly received: number;
  readonly total: number;
  readonly filesDone: number;
  readonly filesTotal: number;
}

export interface DownloadView {
  listen(progress: DownloadProgress): void;
  close(): void;
}

const clearLine = "\r\x1b[K";
const redrawMilliseconds = 100;

/** A listener for downloads. `now` gives milliseconds. */
export const downloadView = (
  context: Pick<CommandContext, "isTerminal" | "write" | "err" | "columns" | "colour">,
  { now = () => performance.now() } = {},
): DownloadView => {
  const colours = pc.createColors(context.colour);
  let file = "";
  let startedAt = 0;
  let startedWith = 0; // bytes of an earlier attempt do not count for the speed
  let drawnAt = -Infinity;
  let isDrawn = false;

  const draw = ({ received, total, filesDone, filesTotal }: DownloadProgress): void => {
    const speed = (received - startedWith) / ((now() - startedAt) / 1000);
    const parts = [
      file,
      bar(total === 0 ? 1 : received / total, 24, colours),
      `${formatBytes(received)} of ${formatBytes(total)}`,
      ...(speed > 0 && Number.isFinite(speed) ? [`${formatBytes(speed)}/s`, `${formatDuration((total - received) / speed)} left`] : []),
      `file ${Math.min(filesDone + 1, filesTotal)} of ${filesTotal}`,
    ];
    context.write(clearLine + fitParts(parts, Math.max(1, context.columns - 1)));
    drawnAt = now();
    isDrawn = true;
  };

  const clear = (): void => {
    if (isDrawn) context.write(clearLine);
    isDrawn = false;
  };

  return {
    listen(progress) {
      const isNew = progress.file !== file;
      if (isNew) {
        file = progress.file;
        startedAt = now();
        startedWith = progress.received;
      }
      const isComplete = progress.received === progress.total;
      if (isComplete) {
        if (context.isTerminal) clear();
        context.err(`${file}  ${formatBytes(progress.total)}`);
      } else if (context.isTerminal && (isNew || now() - drawnAt >= redrawMilliseconds)) draw(progress);
    },
    close: clear,
  };
};
