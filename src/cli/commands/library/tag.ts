/** @file `lowrank library tag`: changes what is said of an adapter. */
import { z } from "zod";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { metricsText } from "./entry-table.ts";
import { libraryOption, metricOption, metricsOf, withLibrary } from "./options.ts";

const options = z.object({
  adapter: z.string().describe("name, name@version, name:alias or sha256:digits"),
  tags: z.array(z.string()).default([]).describe("tags to set: key=value or a word"),
  remove: z.array(z.string()).default([]).describe("tag to take away").meta({ placeholder: "tag" }),
  metric: metricOption,
  removeMetric: z.array(z.string()).default([]).describe("metric to take away").meta({ placeholder: "name" }),
  licence: z.string().optional().describe("SPDX name of its licence").meta({ placeholder: "text" }),
  notes: z.string().optional().describe("notes in place of those there are").meta({ placeholder: "text" }),
  ...libraryOption,
});

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const record = await library.annotate(given.adapter, {
      addTags: given.tags,
      removeTags: given.remove,
      metrics: metricsOf(given.metric),
      removeMetrics: given.removeMetric,
      ...(given.licence !== undefined && { licence: given.licence }),
      ...(given.notes !== undefined && { notes: given.notes }),
    });
    context.out(
      `${given.adapter}: ${record.tags.join(", ") || "no tags"}${metricsText(record.metrics) && `; ${metricsText(record.metrics)}`}`,
    );
    return record;
  });

export const tag = defineCommand({
  name: "tag",
  summary: "set or take away tags, metrics, licence and notes",
  examples: [
    "lowrank library tag orders language=en reviewed",
    'lowrank library tag orders@2 --remove draft --metric accuracy=0.93 --notes "Second labelling."',
  ],
  positional: ["adapter", "tags"],
  options,
  load: async () => ({ run }),
});
