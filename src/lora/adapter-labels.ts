/** @file What an adapter's files say of the labels that its classifier was trained with. It knows nothing about models. */
import { join } from "node:path";
import { listFolder, readJsonObject, readSafetensorsHeader } from "../formats/index.ts";
import type { Head } from "../models/index.ts";
import { LowrankError } from "../util/index.ts";

/** The labels of a classifier: names of classes, or of values. */
export type Labels = Pick<Head, "labels" | "predicts">;

/** Under this key the file's metadata holds the labels. */
const labelsKey = "lowrank.labels";

/** The metadata that records a head's labels; none for a head that predicts tokens. */
export const labelsMetadata = ({ labels, predicts }: Labels): Record<string, string> =>
  labels.length === 0 ? {} : { [labelsKey]: JSON.stringify({ labels, predicts }) };

const recorded = (text: string, where: string): Labels => {
  try {
    const { labels, predicts } = JSON.parse(text) as Labels;
    return { labels: labels.map(String), predicts: predicts === "values" ? "values" : "classes" };
  } catch (error) {
    throw new LowrankError("invalid-file", `The metadata "${labelsKey}" is no list of labels.`, { where, cause: error });
  }
};

// The last layer of the classifiers there are, as PEFT names it.
const outputs = /(^|\.)(score|classifier|classifier\.out_proj)\.weight$/;

/** The labels that a classifier's adapter records, or as many without names as its classifier has; undefined for an adapter of another task. */
export const adapterLabels = async (directory: string): Promise<Labels | undefined> => {
  // What is missing in the folder is for the loader to say.
  if (!(await listFolder(directory)).includes("adapter_config.json")) return undefined;
  const { task_type: task } = await readJsonObject(join(directory, "adapter_config.json"));
  if (task !== "SEQ_CLS") return undefined;
  const { path, tensors, metadata } = await readSafetensorsHeader(join(directory, "adapter_model.safetensors"));
  const known = metadata[labelsKey];
  if (known !== undefined) return recorded(known, path);
  const count = [...tensors].find(([name]) => outputs.test(name))?.[1].shape[0];
  if (count === undefined) return undefined;
  return { labels: Array.from({ length: count }, (_, index) => `LABEL_${index}`), predicts: count === 1 ? "values" : "classes" };
};
