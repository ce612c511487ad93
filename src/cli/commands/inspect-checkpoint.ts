/** @file What a checkpoint holds, from its configuration and the headers of its files; no tensor is read. */
import { openCheckpoint } from "../../formats/index.ts";
import { sizeOf, type DType } from "../../util/index.ts";
import { folderBytes } from "../folder-bytes.ts";
import { formatBytes, formatCount, formatLargeCount } from "../ui/format.ts";
import { groupBy, kindOf, sortByName } from "./by-kind.ts";
import { fittedTable, type TableContext } from "./fitted-table.ts";

/** A type of elements, or what they are packed into. */
type Stored = DType | "4-bit";

interface TensorReport {
  readonly name: string;
  readonly dtype: Stored;
  readonly shape: readonly number[];
  readonly bytes: number;
}

export interface CheckpointReport {
  readonly kind: "checkpoint";
  readonly directory: string;
  /** What the configuration says, as far as it says it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly parameters: number;
  /** Bytes of the files with weights. */
  readonly bytes: number;
  readonly files: readonly string[];
  readonly dtypes: readonly { readonly dtype: Stored; readonly tensors: number; readonly parameters: number; readonly bytes: number }[];
  readonly tensors: readonly TensorReport[];
}

// Keys of `config.json`: what most families call it, then GPT-2, then T5.
const summaryKeys: Readonly<Record<string, readonly string[]>> = {
  family: ["model_type"],
  layers: ["num_hidden_layers", "n_layer", "num_layers"],
  hidden: ["hidden_size", "n_embd", "d_model"],
  feedForward: ["intermediate_size", "n_inner", "d_ff"],
  heads: ["num_attention_heads", "n_head", "num_heads"],
  keyValueHeads: ["num_key_value_heads"],
  vocabulary: ["vocab_size"],
  positions: ["max_position_embeddings", "n_positions"],
  tiedHead: ["tie_word_embeddings"],
};

const summaryOf = (config: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(summaryKeys).flatMap(([name, keys]) => {
      const value = keys.map((key) => config[key]).find((found) => found !== undefined && found !== null);
      return value === undefined ? [] : [[name, value]];
    }),
  );

const totals = (tensors: readonly TensorReport[]) => ({
  tensors: tensors.length,
  parameters: tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
});

/** Opens a checkpoint and adds up what its headers say; damaged files are errors that name them. */
export const inspectCheckpoint = async (directory: string): Promise<CheckpointReport> => {
  const checkpoint = await openCheckpoint(directory);
  const tensors = Array.from(checkpoint.tensors, ([name, { dtype, shape, bytes, packed }]): TensorReport => ({
    name,
    dtype: packed === undefined ? dtype : "4-bit",
    shape,
    bytes,
  }));
  const files = [...new Set(Array.from(checkpoint.tensors.values(), ({ path }) => path))].sort();
  const byDtype = groupBy(tensors, ({ dtype }) => dtype);
  return {
    kind: "checkpoint",
    directory: checkpoint.directory,
    config: summaryOf(checkpoint.config),
    parameters: totals(tensors).parameters,
    bytes: await folderBytes(directory, /\.safetensors$/),
    files,
    dtypes: Array.from(byDtype.values(), (group) => ({ dtype: group[0].dtype, ...totals(group) })),
    tensors: sortByName(tensors, ({ name }) => name),
  };
};

const labels: Readonly<Record<string, string>> = { feedForward: "feed-forward", keyValueHeads: "key/value heads", tiedHead: "tied head" };

const shown = (value: unknown): string => {
  if (typeof value === "number") return formatCount(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
};

const shapeText = (shape: readonly number[]): string => shape.join(" × ") || "scalar";

const tensorRows = (tensors: readonly TensorReport[], every: boolean): string[][] => {
  const groups = groupBy(tensors, ({ name, dtype, shape }) => (every ? name : `${kindOf(name)} ${dtype} ${shape.join()}`));
  return Array.from(groups.values(), (group) => {
    const [{ name, dtype, shape }] = group;
    const { parameters, bytes } = totals(group);
    const count = group.length === 1 ? "" : `${group.length} ×`;
    return [group.length === 1 ? name : kindOf(name), count, dtype, shapeText(shape), formatCount(parameters), formatBytes(bytes)];
  });
};

/** The report for people. */
export const checkpointLines = (report: CheckpointReport, every: boolean, context: TableContext): string[] => {
  const { config, parameters, bytes, files, dtypes, tensors } = report;
  const summary = Object.entries(config).map(([name, value]) => `${labels[name] ?? name} ${shown(value)}`);
  const columns = [
    { title: "tensor" },
    { title: "", align: "right" },
    { title: "dtype" },
    { title: "shape" },
    { title: "parameters", align: "right", optional: true },
    { title: "size", align: "right" },
  ] as const;
  return [
    `${report.directory}: a checkpoint`,
    summary.join(", "),
    `${formatLargeCount(parameters)} parameters (${formatCount(parameters)}), ${formatBytes(bytes)} in ${files.length} ${files.length === 1 ? "file" : "files"}`,
    "",
    fittedTable(columns, tensorRows(tensors, every), context),
    "",
    ...dtypes.map(
      ({ dtype, tensors: count, parameters: values, bytes: size }) =>
        `${dtype}: ${formatCount(count)} tensors, ${formatCount(values)} parameters, ${formatBytes(size)}`,
    ),
  ];
};
