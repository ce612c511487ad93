/** @file What `lowrank inspect` does: looks which of the two a folder holds, and shows it. */
import { listFolder } from "../../formats/index.ts";
import type { CommandContext } from "../context.ts";
import { adapterLines, inspectAdapter } from "./inspect-adapter.ts";
import { checkpointLines, inspectCheckpoint } from "./inspect-checkpoint.ts";
import { healthLines, inspectHealth } from "./inspect-health.ts";
import type { InspectOptions } from "./inspect.ts";
import { adapterFolder } from "./open-model.ts";

export const run = async (options: InspectOptions, context: CommandContext): Promise<object> => {
  // Measuring needs the runtime, which looking does not.
  if (options.precision) return (await import("./inspect-precision.ts")).inspectPrecision(options, context);
  const { directory, model, tensors, library } = options;
  const folder = await adapterFolder(directory, library === undefined ? {} : { library }, context);
  const names = await listFolder(folder);
  if (names.includes("adapter_config.json")) {
    const report = await inspectAdapter(folder);
    for (const line of adapterLines(report, tensors, context)) context.out(line);
    if (model === undefined) return report;
    const health = await inspectHealth(folder, model, context);
    for (const line of healthLines(health, tensors, context)) context.out(line);
    return { ...report, health };
  }
  const report = await inspectCheckpoint(folder);
  for (const line of checkpointLines(report, tensors, context)) context.out(line);
  return report;
};
