/** @file Finds stop strings in text that arrives in pieces. It knows nothing about tokens or models. */
import { LowrankError } from "../util/index.ts";

/** What a piece of text brought. */
export interface StopResult {
  /** Text that may be shown now: none of it can be part of a stop string. */
  readonly text: string;
  /** The stop string that ended the text; everything after its beginning is dropped. */
  readonly stopped: string | undefined;
}

export interface StopMatcher {
  push(piece: string): StopResult;
  /** Says that no more text comes, and gives what was held back. */
  flush(): StopResult;
}

/**
 * Cuts a stream of text before the first stop string in it. All texts together are `text.slice(0, first)`, however the text is
 * split; `first` is the earliest place where any stop string begins, and of several there the shortest is named.
 * @example
 * const matcher = stopMatcher(["\nUser:"]);
 * matcher.push("Yes.\nUs"); // { text: "Yes.", stopped: undefined }
 * matcher.push("er: no"); // { text: "", stopped: "\nUser:" }
 */
export const stopMatcher = (stops: readonly string[]): StopMatcher => {
  if (stops.includes("")) {
    throw new LowrankError("invalid-argument", "A stop string is empty and would stop everything.", {
      where: "stop strings",
      fix: "Leave it out.",
    });
  }
  const byLength = stops.toSorted((a, b) => a.length - b.length);
  let held = ""; // Text that may be the beginning of a stop string.
  let stopped: string | undefined;

  const take = (end: number): StopResult => {
    const text = held.slice(0, end);
    held = stopped === undefined ? held.slice(end) : "";
    return { text, stopped };
  };
  const mayBegin = (start: number): boolean => byLength.some((stop) => stop.startsWith(held.slice(start)));

  // An unfinished stop string that begins earlier holds back a finished one that begins later.
  const release = (isLast: boolean): StopResult => {
    for (let start = 0; start < held.length; start++) {
      stopped = byLength.find((stop) => held.startsWith(stop, start));
      if (stopped !== undefined || (!isLast && mayBegin(start))) return take(start);
    }
    return take(held.length);
  };

  return {
    push: (piece) => {
      if (stopped !== undefined) return { text: "", stopped };
      held += piece;
      return release(false);
    },
    flush: () => (stopped === undefined ? release(true) : { text: "", stopped }),
  };
};
