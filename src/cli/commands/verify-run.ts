/** @file What `lowrank verify` does: a table of the largest differences, and exit code 1 where one is too large. */
import { basename, resolve } from "node:path";
import pc from "picocolors";
import { verifyGolden, type Verification } from "../../evaluate/verify.ts";
import { checkDevice, ortBackend } from "../../runtime/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { errorObject, formatError } from "../ui/errors.ts";
import { wrap } from "../ui/width.ts";
import { fittedTable } from "./fitted-table.ts";
import { ortOptions } from "./open-model.ts";
import type { VerifyOptions } from "./verify.ts";

/** The figures of one reference that decide. */
export interface VerifiedCase {
  readonly directory: string;
  readonly passed: boolean;
  /** `Verification.rounded`. */
  readonly rounded?: Verification["rounded"];
  readonly logits: Verification["logits"];
  readonly worstGradient: { readonly name: string; readonly difference: number };
  /** The first step is 1. */
  readonly worstLoss: { readonly step: number; readonly difference: number };
  readonly gradients: Verification["gradients"];
  readonly losses: Verification["losses"];
}

interface FailedCase {
  readonly directory: string;
  readonly passed: false;
  readonly error: LowrankError;
}

// A difference that is not a number is the worst of all.
const isWorse = (difference: number, than: number): boolean => Number.isNaN(difference) || difference > than;

const worst = <Key>(entries: Iterable<readonly [Key, number]>): readonly [Key, number] => {
  const [first, ...others] = entries;
  return others.reduce((most, entry) => (!Number.isNaN(most[1]) && isWorse(entry[1], most[1]) ? entry : most), first);
};

const judge = (directory: string, { logits, gradients, losses, rounded }: Verification, options: VerifyOptions): VerifiedCase => {
  const [name, gradient] = worst(Object.entries(gradients));
  const [step, loss] = worst(losses.entries());
  const within = (difference: number, limit: number): boolean => !isWorse(difference, limit);
  return {
    directory,
    passed:
      Object.values(logits).every((difference) => within(difference, options.tolerance)) &&
      within(gradient, options.gradientTolerance) &&
      within(loss, options.lossTolerance),
    ...(rounded && { rounded }),
    logits,
    worstGradient: { name, difference: gradient },
    worstLoss: { step: step + 1, difference: loss },
    gradients,
    losses,
  };
};

const columns = [
  { title: "logits of" },
  { title: "base", align: "right" },
  { title: "adapter", align: "right" },
  { title: "merged", align: "right" },
  { title: "gradient", align: "right" },
  { title: "loss", align: "right" },
  { title: "" },
  { title: "worst gradient", optional: true },
] as const;

const table = (cases: readonly (VerifiedCase | FailedCase)[], options: VerifyOptions, context: CommandContext): string => {
  const { green, red, dim } = pc.createColors(context.colour);
  const figure = (difference: number, limit: number): string => {
    const text = difference.toExponential(1);
    return isWorse(difference, limit) ? red(text) : text;
  };
  const rows = cases.map((one) => {
    const name = basename(resolve(one.directory));
    if ("error" in one) return [name, "", "", "", "", "", red("error"), ""];
    const { logits, worstGradient, worstLoss } = one;
    return [
      name,
      ...[logits.base, logits.adapter, logits.merged].map((difference) => figure(difference, options.tolerance)),
      figure(worstGradient.difference, options.gradientTolerance),
      figure(worstLoss.difference, options.lossTolerance),
      one.passed ? green("pass") : red("fail"),
      dim(worstGradient.name),
    ];
  });
  const limits = [options.tolerance, options.tolerance, options.tolerance, options.gradientTolerance, options.lossTolerance];
  rows.push([dim("at most"), ...limits.map((limit) => dim(limit.toExponential(1))), "", ""]);
  return fittedTable(columns, rows, context);
};

// What a reference was recorded with and nobody computes with otherwise is said.
const roundings = (cases: readonly (VerifiedCase | FailedCase)[]): string[] =>
  (["bf16", "f16"] as const).flatMap((half) => {
    const names = cases.filter((one) => "rounded" in one && one.rounded === half).map(({ directory }) => basename(resolve(directory)));
    return names.length === 0
      ? []
      : [`Recorded, and so compared, with rotary frequencies and embedding factors in ${half}, but for merged: ${names.join(", ")}.`];
  });

/** Compares each folder with its reference; what cannot be read fails as well, and the others go on. */
export const run = async (options: VerifyOptions, context: CommandContext): Promise<object> => {
  await checkDevice(ortOptions(options));
  const backend = ortBackend(ortOptions(options));
  const cases: (VerifiedCase | FailedCase)[] = [];
  try {
    for (const directory of options.directories) {
      try {
        cases.push(judge(directory, await verifyGolden(backend, directory), options));
      } catch (error) {
        if (!LowrankError.is(error)) throw error;
        cases.push({ directory, passed: false, error });
      }
    }
  } finally {
    await backend.dispose();
  }
  context.out(table(cases, options, context));
  for (const line of roundings(cases).flatMap((text) => wrap(text, Math.min(context.columns, 120)))) context.out(line);
  for (const one of cases) if ("error" in one) context.err(formatError(one.error, { ...context, debug: false }));
  const passed = cases.every((one) => one.passed);
  if (!passed) context.exitCode = 1;
  const { tolerance, gradientTolerance, lossTolerance } = options;
  return {
    passed,
    tolerances: { logits: tolerance, gradients: gradientTolerance, losses: lossTolerance },
    cases: cases.map((one) => ("error" in one ? { ...one, ...errorObject(one.error) } : one)),
  };
};
