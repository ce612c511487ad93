/** @file `lowrank library show`: all that is known of one adapter. */
import { z } from "zod";
import type { AdapterRecord } from "../../../library/index.ts";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { formatBytes, formatCount } from "../../ui/format.ts";
import { padEnd } from "../../ui/width.ts";
import { metricsText } from "./entry-table.ts";
import { libraryOption, withLibrary } from "./options.ts";

const options = z.object({
  adapter: z.string().describe("name, name@version, name:alias or sha256:digits"),
  ...libraryOption,
});

const lines = (record: AdapterRecord, path: string): [title: string, text: string][] => {
  const { names, aliases, retired, tags, metrics, lineage, embedding, facts, files } = record;
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  const parents = lineage.parents.map(({ name, digest, weight }) => `${weight} × ${name ?? digest}`).join(" + ");
  return [
    ["names", names.map(({ name, version }) => `${name}@${version}`).join(", ") || "none: removed"],
    ["aliases", aliases.map(({ name, alias }) => `${name}:${alias}`).join(", ")],
    ["removed", retired.map(({ name, version }) => `${name}@${version}`).join(", ")],
    ["digest", record.digest],
    ["kind", `${facts.kind}${facts.rank === null ? "" : `, r ${facts.rank}`}${facts.alpha === null ? "" : `, α ${facts.alpha}`}`],
    ["size", `${formatBytes(bytes)}, ${formatCount(facts.parameters)} parameters`],
    ["base", [lineage.baseName, lineage.base].filter((text) => text !== null).join("  ") || "not recorded"],
    ["tags", tags.join(", ")],
    ["metrics", metricsText(metrics)],
    ["data", lineage.data ?? ""],
    [
      "compared by",
      embedding === null ? "" : `${formatCount(embedding.examples)} examples of its data, ${formatCount(embedding.tokens)} tokens`,
    ],
    ["run", lineage.run ?? ""],
    ["composed of", parents],
    ["licence", record.licence ?? ""],
    ["notes", record.notes],
    ["added", record.created],
    ["folder", path],
  ];
};

const run = (given: z.output<typeof options>, context: CommandContext): Promise<object> =>
  withLibrary(given, async (library) => {
    const record = await library.get(given.adapter);
    const path = library.path(record);
    for (const [title, text] of lines(record, path)) if (text !== "") context.out(`${padEnd(title, 12)} ${text}`);
    return { ...record, path };
  });

export const show = defineCommand({
  name: "show",
  summary: "show what is known of an adapter",
  examples: ["lowrank library show orders", "lowrank library show orders:prod --json"],
  positional: ["adapter"],
  options,
  load: async () => ({ run }),
});
