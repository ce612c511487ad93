/** @file How an adapter sits in its base, as `lowrank inspect --model` shows it. It knows nothing about what the adapter holds. */
import { adapterHealth, loadAdapter, loadedOn, type ModuleHealth } from "../../lora/index.ts";
import { openBase } from "../../models/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import type { CommandContext } from "../context.ts";
import { formatPercent } from "../ui/format.ts";
import { formatTable } from "../ui/table.ts";
import { groupBy, kindOf } from "./by-kind.ts";
import { modelFolder } from "./open-model.ts";

/** Measures the adapter in a folder against the base that `--model` names. */
export const inspectHealth = async (directory: string, model: string, context: CommandContext): Promise<ModuleHealth[]> => {
  const base = await openBase(await modelFolder(model, context));
  const backend = ortBackend();
  try {
    return await adapterHealth(backend, base, await loadAdapter(directory, base.model, loadedOn(base, backend)));
  } finally {
    await backend.dispose();
  }
};

const range = (values: readonly number[], text: (value: number) => string): string => {
  const [least, most] = [Math.min(...values), Math.max(...values)].map(text);
  return least === most ? least : `${least}–${most}`;
};

/** The figures for people: a line for each kind of module, or for each module. */
export const healthLines = (modules: readonly ModuleHealth[], every: boolean, context: CommandContext): string[] => {
  const groups = groupBy(modules, ({ module }) => (every ? module : kindOf(module)));
  const rows = Array.from(groups, ([name, group]) => [
    name,
    range(
      group.map(({ share }) => share),
      formatPercent,
    ),
    range(
      group.map(({ effectiveRank }) => effectiveRank),
      (value) => value.toFixed(1),
    ),
    String(group.reduce((sum, { intruders }) => sum + intruders, 0)),
  ]);
  const columns = [
    { title: "module" },
    { title: "‖ΔW‖/‖W‖", align: "right" },
    { title: "effective rank", align: "right" },
    { title: "intruders", align: "right" },
  ] as const;
  return [
    "",
    formatTable(columns, rows, context),
    "",
    "Intruders are among the ten leading directions of W + ΔW and are like none of the base's.",
  ];
};
