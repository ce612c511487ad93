/** @file Joins what a command's flags and its configuration file say, and checks the whole. It knows nothing about commander. */
import type { z } from "zod";
import { LowrankError } from "../util/index.ts";
import { readConfigFile, type PlacedValue } from "./config-file.ts";
import { flagsOf, parseText, refusal, type Flag } from "./flags.ts";

/** What stood on the command line: the texts of a flag in order, or a switch's position. */
export type GivenFlags = Readonly<Record<string, readonly string[] | boolean>>;

const placedFlag = (flag: Flag, given: readonly string[] | boolean): PlacedValue => {
  const place = `--${flag.name}`;
  if (typeof given === "boolean") return { value: given, place };
  const values = given.map((text) => parseText(flag, text));
  const single = flag.repeatable === false || (flag.repeatable === "single-or-list" && values.length === 1);
  return { value: single ? values.at(-1) : values, place };
};

// Zod's own words for these kinds of issue say less than what the flag takes.
const mistypedCodes: readonly string[] = ["invalid_type", "invalid_value", "invalid_union", "too_small", "too_big"];

const sentenceOf = (issue: z.core.$ZodIssue, flags: readonly Flag[], values: ReadonlyMap<string, PlacedValue>): string => {
  const flag = flags.find(({ key }) => key === issue.path[0]);
  if (flag === undefined) return issue.message;
  const placed = values.get(flag.key);
  if (placed === undefined && flag.required) return `--${flag.name} is required: ${flag.description || flag.placeholder}.`;
  const place = placed?.place ?? `--${flag.name}`;
  if (placed !== undefined && mistypedCodes.includes(issue.code)) return refusal(flag, place, placed.value);
  return `${place}: ${issue.message}${/[.?!]$/.test(issue.message) ? "" : "."}`;
};

/**
 * The options of a command from its flags and, under them, a configuration file. Everything wrong with their values is one
 * `invalid-argument` error that names each flag, or the line of the file.
 */
export const resolveOptions = async <Options extends z.ZodObject>(
  options: Options,
  given: GivenFlags,
  { command, configPath }: { command: string; configPath?: string | undefined },
): Promise<z.output<Options>> => {
  const flags = flagsOf(options);
  const values = configPath === undefined ? new Map<string, PlacedValue>() : await readConfigFile(configPath, flags);
  for (const flag of flags) {
    const texts = given[flag.key];
    if (texts !== undefined) values.set(flag.key, placedFlag(flag, texts));
  }
  const checked = options.safeParse(Object.fromEntries(Array.from(values, ([key, { value }]) => [key, value])));
  if (checked.success) return checked.data;
  throw new LowrankError("invalid-argument", checked.error.issues.map((issue) => sentenceOf(issue, flags, values)).join(" "), {
    fix: `See \`${command} --help\`.`,
  });
};
