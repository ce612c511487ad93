/** @file The training view of a terminal: a few lines that are redrawn in place under those that stay. It knows nothing about training but its events. */
import pc from "picocolors";
import type { StepEnd, TrainEvent } from "../../train/events.ts";
import { bar } from "./bar.ts";
import { eventLines, stepTexts } from "./event-text.ts";
import { formatCount, formatDuration, formatFigure, formatPercent } from "./format.ts";
import { pace } from "./pace.ts";
import { sparkline } from "./sparkline.ts";
import { fitParts, truncate, visibleWidth } from "./width.ts";

/** What the view needs of a terminal; a command's context will do. */
export interface LiveTerminal {
  write(text: string): void;
  readonly columns: number;
  readonly colour: boolean;
}

export interface TrainView {
  listen(event: TrainEvent): void;
  /** A line that stays, above what is redrawn. */
  say(line: string): void;
  /** Ends the view and gives the cursor back; the last state stays unless the run has ended. */
  close(): void;
}

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const clearBelow = "\x1b[J";
const redrawMilliseconds = 100;

/**
 * A view that redraws at most ten times a second and fits any width. `now` gives milliseconds.
 * @example
 * const view = liveView(context);
 * for await (const event of train(options)) view.listen(event);
 * view.close();
 */
export const liveView = (terminal: LiveTerminal, { now = () => performance.now() } = {}): TrainView => {
  const colours = pc.createColors(terminal.colour);
  const progress = pace();
  const started = now();
  let status = "reading data";
  let latest: StepEnd | undefined;
  let heldOut = "";
  let drawn: string[] = [];
  let drawnAt = -Infinity;
  let isOpen = true;

  // A terminal that has become narrower since has folded the lines, so they are counted at its present width.
  const erase = (): string => {
    const lines = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleWidth(line) / Math.max(1, terminal.columns))), 0);
    return lines === 0 ? "" : `\r${lines > 1 ? `\x1b[${lines - 1}A` : ""}${clearBelow}`;
  };

  const frame = (): string[] => {
    const columns = Math.max(1, terminal.columns - 1); // the last column would make some terminals wrap
    const elapsed = formatDuration((now() - started) / 1000);
    if (latest === undefined) return [truncate(`${colours.cyan(status)}  ${elapsed}`, columns)];
    const { step, steps, smoothedLoss, secondsLeft, trend } = progress;
    const counts = [
      `${formatCount(step)}/${formatCount(steps)}`,
      formatPercent(step / steps),
      `${formatDuration(secondsLeft)} left`,
      `epoch ${latest.epoch.toFixed(2)}`,
      elapsed,
    ];
    const texts = stepTexts({ ...latest, loss: smoothedLoss });
    const figures = [`${colours.bold(texts.loss)} ${colours.cyan(sparkline(trend, 16))}`, ...texts.metrics, texts.rate, texts.gradient];
    const barWidth = Math.min(40, Math.max(10, columns - visibleWidth(counts.join("  ")) - 2));
    return [
      fitParts([bar(step / steps, Math.min(barWidth, columns), colours), ...counts], columns),
      fitParts(figures, columns),
      fitParts([texts.speed, texts.memory, heldOut, status].filter(Boolean), columns),
    ];
  };

  const draw = (above: readonly string[], isFinal = false): void => {
    const next = isFinal ? [] : frame();
    const lines = above.map((line) => `${line}\n`).join("");
    terminal.write(erase() + lines + next.join("\n"));
    drawn = next;
    drawnAt = now();
  };

  const restore = (): void => terminal.write(showCursor);
  const clock = setInterval(() => draw([]), 1000); // shows that a long update is still going on
  clock.unref();
  process.once("exit", restore);
  terminal.write(hideCursor);

  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    clearInterval(clock);
    process.removeListener("exit", restore);
    if (drawn.length > 0) terminal.write("\n");
    restore();
  };

  return {
    listen(event) {
      if (!isOpen) return;
      progress.listen(event);
      if (event.type === "step-end") latest = event;
      if (event.type === "data-ready") status = "preparing";
      if (event.type === "compile-start") status = `compiling for ${event.shape.join(" × ")} tokens`;
      if (event.type === "compile-end" || event.type === "step-end") status = "";
      if (event.type === "eval-end") heldOut = `held out ${formatFigure(event.loss)}`;
      const lines = eventLines(event, colours);
      if (event.type === "run-end") {
        draw(lines, true);
        close();
      } else if (lines.length > 0 || event.type === "compile-start" || now() - drawnAt >= redrawMilliseconds) draw(lines);
    },
    say: (line) => (isOpen ? draw([line]) : terminal.write(`${line}\n`)),
    close,
  };
};
