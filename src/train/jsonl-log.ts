/** @file A listener that writes one JSON line per training event to a file. It knows nothing about the terminal. */
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { LowrankError, messageOf } from "../util/index.ts";
import type { TrainEvent, TrainListener } from "./events.ts";

export interface JsonlLog {
  readonly write: TrainListener;
  close(): void;
}

const newline = 0x0a;

const stepOf = (line: string): number => {
  try {
    const { step } = JSON.parse(line) as { step?: number };
    return step ?? 0;
  } catch {
    return 0; // a damaged line in the middle belongs to no step
  }
};

/** How many bytes of a log to keep: whole lines up to the first that tells of a later step. */
const keptLength = (log: Buffer, resumedStep: number): number => {
  let start = 0;
  for (let end = log.indexOf(newline); end !== -1; end = log.indexOf(newline, start)) {
    if (stepOf(log.toString("utf8", start, end)) > resumedStep) break;
    start = end + 1;
  }
  return start;
};

const failed = (path: string, error: unknown): LowrankError =>
  new LowrankError("io-failed", `The training log cannot be written: ${messageOf(error)}.`, {
    where: path,
    fix: "Free some space or choose another folder; checkpoints that were saved are intact.",
    cause: error,
  });

/**
 * Opens a log for a run. A new run replaces what is there; a run resumed from `resumedStep` keeps it up to that step,
 * so that no step is told twice and a line that a crash cut short is gone. Each line has the event's fields and the `time`.
 * @example
 * const log = openJsonlLog("runs/tales/log.jsonl");
 * for await (const event of train(options)) log.write(event);
 * log.close();
 */
export const openJsonlLog = (path: string, options: { resumedStep?: number; now?: () => Date } = {}): JsonlLog => {
  const { resumedStep, now = () => new Date() } = options;
  const attempt = <Result>(action: () => Result): Result => {
    try {
      return action();
    } catch (error) {
      throw failed(path, error);
    }
  };
  const file = attempt(() => {
    const kept = resumedStep !== undefined && existsSync(path) ? keptLength(readFileSync(path), resumedStep) : 0;
    if (kept === 0) return openSync(path, "w");
    const descriptor = openSync(path, "a");
    ftruncateSync(descriptor, kept);
    return descriptor;
  });
  return {
    write: (event: TrainEvent) => {
      attempt(() => writeSync(file, `${JSON.stringify({ time: now().toISOString(), ...event })}\n`));
    },
    close: () => closeSync(file),
  };
};
