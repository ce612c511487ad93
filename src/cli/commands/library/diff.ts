/** @file `lowrank library diff`: how two adapters differ. */
import { z } from "zod";
import type { AdapterDifference, Difference } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { sortByName } from "../by-kind.ts";
import { fittedTable } from "../fitted-table.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  before: z.string().describe("one adapter of the library"),
  after: z.string().describe("the other"),
  ...libraryOption,
});

const shown = (value: unknown): string =>
  value === undefined || value === null ? "–" : typeof value === "string" ? value : JSON.stringify(value);

const line = ({ key, before, after }: Difference): string => `${key}: ${shown(before)} → ${shown(after)}`;

const columns = [
  { title: "module" },
  { title: "cosine", align: "right" },
  { title: "‖ΔW′−ΔW‖", align: "right" },
  { title: "‖ΔW‖", align: "right", optional: true },
  { title: "‖ΔW′‖", align: "right", optional: true },
] as const;

const show = ({ said, config, modules }: AdapterDifference, context: CommandContext): void => {
  for (const difference of [...said, ...config]) context.out(line(difference));
  if (said.length + config.length === 0) context.out("The same is said of both, and their configurations are equal.");
  if (modules.length === 0) return;
  const figures = ({ cosine, distance, before, after }: (typeof modules)[number]): string[] => [
    cosine.toFixed(3),
    ...[distance, before, after].map((value) => value.toPrecision(3)),
  ];
  context.out("");
  context.out(
    fittedTable(
      columns,
      sortByName(modules, ({ module }) => module).map((one) => [one.module, ...figures(one)]),
      context,
    ),
  );
};

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const difference = await library.diff(given.before, given.after);
    show(difference, context);
    return difference;
  });

export const diff = defineCommand({
  name: "diff",
  summary: "compare two adapters: what is said of them, settings, updates",
  examples: ["lowrank library diff orders@1 orders@2", "lowrank library diff orders:prod orders --json"],
  positional: ["before", "after"],
  options,
  load: async () => ({ run }),
});
