/** @file A progress bar. It knows nothing about what progresses. */
import type { Colors } from "picocolors/types.js";

/** A bar of `width` columns for a share of 1; half columns are drawn. */
export const bar = (share: number, width: number, { green, dim }: Colors): string => {
  const halves = Math.round(Math.min(1, Math.max(0, share)) * width * 2);
  const done = "━".repeat(halves >> 1) + (halves & 1 ? "╸" : "");
  return green(done) + dim("─".repeat(width - done.length));
};
