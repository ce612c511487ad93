/** @file Writes an adapter that was made of other things, and says how near it is to them. It knows nothing about how it was made. */
import { resolve } from "node:path";
import { saveAdapter, type ModuleReport, type StoredAdapter } from "../../lora/index.ts";
import type { Base } from "../../models/index.ts";
import type { CommandContext } from "../context.ts";
import { formatCount, formatPercent } from "../ui/format.ts";
import { formatTable } from "../ui/table.ts";

const rowsShown = 8;

/** The modules where most is lost, as a table; none where nothing is. */
const lossTable = (modules: readonly ModuleReport[], context: CommandContext): string[] => {
  const worst = modules.toSorted((a, b) => b.error * b.norm - a.error * a.norm).slice(0, rowsShown);
  if (worst[0].error < 1e-5) return [];
  const rows = worst.map(({ module, rank, norm, error }) => [module, String(rank), norm.toPrecision(3), formatPercent(error)]);
  const columns = [
    { title: "module" },
    { title: "rank", align: "right" },
    { title: "‖ΔW‖", align: "right" },
    { title: "off by", align: "right" },
  ] as const;
  return [formatTable(columns, rows, context)];
};

interface Parent {
  readonly directory: string;
  readonly weight: number;
}

export interface PublishComposedFlags {
  readonly publish?: string | undefined;
  readonly library?: string | undefined;
}

/** Publishes an adapter under a name of the library, with those that it was made of and their weights. */
export const publishComposed = async (
  output: string,
  { publish: name, library: given }: PublishComposedFlags,
  parents: readonly Parent[],
  context: CommandContext,
): Promise<object> => {
  if (name === undefined) return {};
  const { folderDigest, libraryDirectory, openLibrary } = await import("../../library/index.ts");
  const library = await openLibrary(given ?? libraryDirectory(), { create: true });
  try {
    const from = await Promise.all(parents.map(async ({ directory, weight }) => ({ digest: await folderDigest(directory), weight })));
    const { record, version } = await library.add(output, { name, lineage: { parents: from } });
    context.out(`Published as ${name}@${version.version} in ${library.folder}.`);
    return { published: { name, version: version.version, digest: record.digest } };
  } finally {
    library.close();
  }
};

const overall = (modules: readonly ModuleReport[]): number => {
  const squares = (value: (report: ModuleReport) => number): number => modules.reduce((sum, report) => sum + value(report) ** 2, 0);
  const all = squares(({ norm }) => norm);
  return all === 0 ? 0 : Math.sqrt(squares(({ norm, error }) => norm * error) / all);
};

export interface ComposedAdapter {
  readonly stored: StoredAdapter;
  readonly modules: readonly ModuleReport[];
}

/** Saves the adapter; gives what `--json` says of it. */
export const writeComposed = async (
  base: Base,
  { stored, modules }: ComposedAdapter,
  output: string,
  context: CommandContext,
): Promise<object> => {
  await saveAdapter(output, base.model, stored, base.digest);
  const error = overall(modules);
  const { config, targets } = stored.adapter;
  for (const table of lossTable(modules, context)) context.out(table);
  const distance = error < 1e-5 ? "exactly their sum" : `${formatPercent(error)} off the exact sum`;
  context.out(
    `Adapter in ${output}: rank ${config.r}, ${formatCount(targets.size)} modules, ${formatCount(stored.parameters.length)} parameters; ${distance}.`,
  );
  return {
    output: resolve(output),
    r: config.r,
    parameters: stored.parameters.length,
    error,
    energy: Math.max(0, 1 - error ** 2),
    modules,
  };
};
