/** @file The base that `bench` measures with, and the part of its tables that is about the machine. It knows nothing about what is measured. */
import { benchShapes, randomCheckpoint, type BenchShape, type MachineReport } from "../../evaluate/bench/index.ts";
import { openBase, type Base } from "../../models/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { formatBytes } from "../ui/format.ts";
import { formatTable } from "../ui/table.ts";
import { localFolder, precisionOf, type BasePrecision } from "./open-model.ts";

export interface BenchBaseFlags {
  readonly model?: string | undefined;
  readonly shape?: BenchShape | undefined;
  readonly basePrecision?: BasePrecision | undefined;
  readonly seed: number;
}

/** Opens the model that the flags name, or writes one of their shape. */
export const benchBase = async (
  { model, shape, basePrecision, seed }: BenchBaseFlags,
  context: CommandContext,
): Promise<{ readonly name: string; readonly base: Base }> => {
  const form = precisionOf(basePrecision);
  if (shape !== undefined && model !== undefined)
    throw new LowrankError("invalid-argument", "--model and --shape exclude each other.", { fix: "Name one of them." });
  if (shape !== undefined) return { name: shape, base: await openBase(await randomCheckpoint(shape, benchShapes[shape], seed), form) };
  if (model === undefined)
    throw new LowrankError("invalid-argument", "There is no model to measure.", {
      fix: `Name one with --model, or one of the shapes ${Object.keys(benchShapes).join(", ")} with --shape.`,
    });
  return { name: model, base: await openBase(await localFolder(model, context), form) };
};

/** A table of figures by name, and under them what they were measured on. */
export const benchTable = (
  rows: readonly (readonly [name: string, figure: string])[],
  { peakMemoryBytes, threads, loadAverage }: MachineReport,
  context: CommandContext,
): string =>
  formatTable(
    [{ title: "measured" }, { title: "", align: "right" }],
    [
      ...rows,
      ["peak memory", formatBytes(peakMemoryBytes)],
      ["threads", String(threads)],
      ["load average", loadAverage.map((value) => value.toFixed(2)).join(" → ")],
    ],
    context,
  );
