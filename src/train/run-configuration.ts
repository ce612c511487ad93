/** @file The settings that a run was started with, and whether they are still the same. It knows nothing about what they mean. */
import { LowrankError } from "../util/index.ts";

/** Settings that decide what a run computes; a resumed run must have the same. Any JSON values. */
export type RunConfiguration = Readonly<Record<string, unknown>>;

// As a file would give it back: keys in order at every depth, undefined ones left out.
const canonical = (value: unknown): string | undefined =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

const most = 12;

const listed = (differences: readonly string[]): string =>
  differences.slice(0, most).join("; ") + (differences.length > most ? `; and ${differences.length - most} more` : "");

/** Throws `invalid-config` that names the keys whose values are not what they were, the first twelve of them. */
export const checkSameConfiguration = (started: RunConfiguration, now: RunConfiguration, where: string): void => {
  const differences = [...new Set([...Object.keys(started), ...Object.keys(now)])].flatMap((key) => {
    const [before, after] = [canonical(started[key]), canonical(now[key])];
    return before === after ? [] : [`${key} was ${before ?? "not set"} and is now ${after ?? "not set"}`];
  });
  if (differences.length === 0) return;
  throw new LowrankError("invalid-config", `The run was started with other settings: ${listed(differences)}.`, {
    where,
    fix: "Resume with the same values, or start a new run in another folder.",
  });
};
