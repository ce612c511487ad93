/** @file Loads what `--data` and `--eval-data` name, as the data options say, and shows what came of it. It knows nothing about training. */
import { readFile } from "node:fs/promises";
import type { z } from "zod";
import { figuresOf, loadExamples, loadTextStream, previewExample, rowKind, type Dataset, type DatasetReport } from "../../data/index.ts";
import type { Tokenizer } from "../../formats/index.ts";
import type { Loss } from "../../train/index.ts";
import { LowrankError, messageOf } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { formatCount, formatPercent } from "../ui/format.ts";
import { formatPreview } from "../ui/preview.ts";
import type { dataOptions } from "./train-options.ts";

export type DataOptions = z.output<z.ZodObject<typeof dataOptions>>;

export interface TrainingData {
  readonly data: Dataset<unknown>;
  readonly heldOut: Dataset<unknown> | undefined;
}

const readText = (path: string): Promise<string> =>
  readFile(path, "utf8").catch((error: unknown) => {
    throw new LowrankError("not-found", `The file cannot be read: ${messageOf(error)}.`, {
      where: path,
      fix: "Check the path.",
      cause: error,
    });
  });

/** Columns by the field that each stands for. */
export const fieldsOf = ({ fields }: Pick<DataOptions, "fields">): Record<string, string> =>
  Object.fromEntries(fields.map((pair) => pair.split("=")));

type Kind = Loss["kind"];

const load = async (path: string, options: DataOptions, tokenizer: Tokenizer, kind: Kind): Promise<Dataset<unknown>> => {
  const { format, supervise, seqLength, chatTemplate } = options;
  return loadExamples(kind, {
    path,
    tokenizer,
    maxLength: seqLength,
    fields: fieldsOf(options),
    ...(format !== "auto" && { format }),
    ...(supervise !== "auto" && { loss: supervise }),
    ...(chatTemplate !== undefined && { template: await readText(chatTemplate) }),
  });
};

/** Some of the examples, with the report's figures for them. */
const part = (kind: Kind, tokenizer: Tokenizer, { examples, report }: Dataset<unknown>, start: number, end: number): Dataset<unknown> => {
  const chosen = examples.slice(start, end);
  return { examples: chosen, report: { ...report, ...figuresOf(kind, chosen, tokenizer) } };
};

const loadBoth = async (options: DataOptions, tokenizer: Tokenizer, kind: Kind): Promise<TrainingData> => {
  const { data: path, evalData, holdOut, stream, seqLength: blockLength } = options;
  const fields = fieldsOf(options);
  if (stream) {
    if (kind !== rowKind)
      throw new LowrankError("invalid-argument", `A stream of text has no ${kind.noun}s to learn from.`, { fix: "Leave --stream off." });
    const { train, heldOut } = await loadTextStream({
      path,
      tokenizer,
      blockLength,
      fields,
      holdOut: evalData === undefined ? holdOut : 0,
    });
    return {
      data: train,
      heldOut: evalData === undefined ? heldOut : (await loadTextStream({ path: evalData, tokenizer, blockLength, fields })).train,
    };
  }
  const data = await load(path, options, tokenizer, kind);
  if (evalData !== undefined) return { data, heldOut: await load(evalData, options, tokenizer, kind) };
  const kept = Math.ceil(data.examples.length * (1 - holdOut));
  if (kept === data.examples.length) return { data, heldOut: undefined };
  return { data: part(kind, tokenizer, data, 0, kept), heldOut: part(kind, tokenizer, data, kept, data.examples.length) };
};

/** The training data and the held-out data of a command. */
export const loadTrainingData = async (options: DataOptions, tokenizer: Tokenizer, { kind }: Pick<Loss, "kind">): Promise<TrainingData> => {
  const { data, heldOut } = await loadBoth(options, tokenizer, kind);
  if (data.examples.length === 0)
    throw new LowrankError("invalid-data", "No examples are left to train on.", { where: options.data, fix: "Lower --hold-out." });
  const limit = options.evalLimit ?? Infinity;
  return { data, heldOut: heldOut === undefined || heldOut.examples.length <= limit ? heldOut : part(kind, tokenizer, heldOut, 0, limit) };
};

const droppedText = ({ dropped }: DatasetReport): string =>
  Object.entries(dropped)
    .map(([reason, rows]) => `${formatCount(rows)} (${reason})`)
    .join(", ") || "none";

const endText = ({ endToken, examples }: DatasetReport, noun: string): string =>
  endToken === undefined
    ? "not supervised"
    : `${endToken.text} is supervised in ${formatCount(endToken.examples)} of ${formatCount(examples)} ${noun}s`;

const lossNames = { all: "all tokens", completion: "completions", label: "labels" } as const;

/** Tells what the model will see: one example with its supervised tokens marked, and the report. */
export const showData = (
  { data, heldOut }: TrainingData,
  { name, kind }: Pick<Loss, "name" | "kind">,
  tokenizer: Tokenizer,
  context: CommandContext,
): void => {
  const { report } = data;
  const { writes = true } = kind;
  const [example] = data.examples;
  const parts = Object.entries(kind.partsOf(example));
  context.out(`First ${kind.noun}, as the model sees it (${kind.whereOf(example)}):`);
  for (const [part, row] of parts) {
    if (parts.length > 1 || !writes) context.out(`${part}:`);
    context.out(formatPreview(previewExample(row, tokenizer), context));
  }
  const shares = writes ? `, ${formatPercent(report.supervisedShare)} supervised` : "";
  const ending = writes ? `End token: ${endText(report, kind.noun)}. ` : "";
  context.out(
    `${formatCount(report.examples)} ${kind.noun}s (${report.format}, ${name} loss over ${lossNames[report.loss]}), ` +
      `${formatCount(report.tokens)} tokens${shares}.`,
  );
  context.out(`${ending}Truncated: ${formatCount(report.truncated)}. Dropped: ${droppedText(report)}.`);
  if (heldOut !== undefined)
    context.out(`Held out: ${formatCount(heldOut.examples.length)} ${kind.noun}s, ${formatCount(heldOut.report.tokens)} tokens.`);
  if (report.template === "plain") context.out("The model has no chat template; the plain one is used.");
  for (const warning of report.warnings) context.err(`Note: ${warning}`);
  context.out("");
};
