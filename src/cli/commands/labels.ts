/** @file Which labels the model of a command line predicts, before it is opened: its own, those of the data, or those that an adapter was trained with. */
import { join } from "node:path";
import { classNames } from "../../data/index.ts";
import { readJsonObject } from "../../formats/index.ts";
import { adapterLabels, type Labels } from "../../lora/index.ts";
import { labelsIn } from "../../models/index.ts";
import type { CommandContext } from "../context.ts";
import { parseAdapter } from "./adapter-flag.ts";
import { adapterFolder, modelFolder, type AdapterFlags } from "./open-model.ts";
import { fieldsOf, type DataOptions } from "./training-data.ts";

interface ModelFlag {
  readonly model?: string | undefined;
}

const ownLabels = async ({ model }: ModelFlag, context: CommandContext): Promise<Labels | undefined> => {
  const path = join(await modelFolder(model, context), "config.json");
  return labelsIn(await readJsonObject(path), path);
};

const tasks = {
  auto: undefined,
  classify: { predicts: "classes", labelsOf: (data: string, fields: Record<string, string>) => classNames(data, fields) },
  regress: { predicts: "values", labelsOf: () => Promise.resolve(["value"]) },
} as const;

/** What a model that is to be trained gets a new head for; undefined where it keeps the one that it has. */
export const labelsToTrain = async (
  { task, ...options }: ModelFlag & Pick<DataOptions, "data" | "fields"> & { readonly task: keyof typeof tasks },
  context: CommandContext,
): Promise<Labels | undefined> => {
  const wanted = tasks[task];
  if (wanted === undefined) return undefined;
  const own = await ownLabels(options, context);
  if (own?.predicts === wanted.predicts) return undefined;
  return { predicts: wanted.predicts, labels: await wanted.labelsOf(options.data, fieldsOf(options)) };
};

/** The labels of the first adapter that is a classifier's; undefined where none is, or where the model is a classifier of its own. */
export const labelsOfAdapters = async (
  { adapter, library, ...options }: ModelFlag & Pick<AdapterFlags, "library"> & { readonly adapter: readonly string[] },
  context: CommandContext,
): Promise<Labels | undefined> => {
  for (const { directory } of adapter.map((reference) => parseAdapter(reference))) {
    const folder = await adapterFolder(directory, library === undefined ? {} : { library }, context);
    const labels = await adapterLabels(folder);
    if (labels !== undefined) return (await ownLabels(options, context)) === undefined ? labels : undefined;
  }
  return undefined;
};
