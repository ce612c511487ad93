/** @file What a configuration says of the labels of a classifier, in Hugging Face's keys. It knows nothing about heads. */
import { configReader, isObject } from "../../formats/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { Head } from "../model.ts";

type Config = Readonly<Record<string, unknown>>;

const problems = {
  single_label_classification: "classes",
  regression: "values",
} as const satisfies Record<string, Head["predicts"]>;

const namesOf = (config: Config, where: string): readonly string[] | undefined => {
  const table = config["id2label"];
  if (table === undefined || table === null) return undefined;
  const names = isObject(table) ? Object.keys(table).map((_, index) => table[index]) : [];
  if (names.length === 0 || !names.every((name) => typeof name === "string"))
    throw new LowrankError("invalid-config", `"id2label" must name the labels 0, 1 …, not ${JSON.stringify(table)}.`, {
      where,
      fix: "Correct the file.",
    });
  return names;
};

/** Names and kind of the labels: `id2label` or else `num_labels` (default 2), and `problem_type` or else what one label alone means. */
export const labelsOf = (config: Config, where: string): Pick<Head, "labels" | "predicts"> => {
  const read = configReader(config, where);
  const labels = namesOf(config, where) ?? Array.from({ length: read.size("num_labels", 2) }, (_, index) => `LABEL_${index}`);
  const fallback = labels.length === 1 ? "regression" : "single_label_classification";
  return { labels, predicts: problems[read.oneOf("problem_type", Object.keys(problems) as (keyof typeof problems)[], fallback)] };
};

/** The same of a configuration whose class is a classifier's; undefined for any other. */
export const labelsIn = (config: Config, where: string): Pick<Head, "labels" | "predicts"> | undefined => {
  const classes = config["architectures"];
  return Array.isArray(classes) && String(classes[0]).endsWith("ForSequenceClassification") ? labelsOf(config, where) : undefined;
};

/** The configuration of a classifier with these labels, made from that of a model of the same family with any head. */
export const withLabels = (config: Config, { labels, predicts }: Pick<Head, "labels" | "predicts">): Config => {
  const { num_labels: _count, architectures, ...rest } = config;
  const classes = Array.isArray(architectures) ? architectures.map(String) : [];
  const renamed = classes.map((name) => `${name.replace(/(For[A-Z]\w*|LMHeadModel|Model)$/, "")}ForSequenceClassification`);
  return {
    ...rest,
    architectures: renamed.length === 0 ? ["ForSequenceClassification"] : renamed,
    id2label: Object.fromEntries(labels.map((name, index) => [index, name])),
    label2id: Object.fromEntries(labels.map((name, index) => [name, index])),
    problem_type: Object.entries(problems).find(([, kind]) => kind === predicts)![0],
  };
};
