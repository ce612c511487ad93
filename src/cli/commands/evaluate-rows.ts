/** @file `lowrank evaluate --adapter-column`: the loss of rows that each name adapters of their own. */
import { readRows, type Row } from "../../data/index.ts";
import { evaluateMixed, type AdaptedExample, type LossReport } from "../../evaluate/index.ts";
import type { LanguageModel } from "../../language-model.ts";
import type { Loss } from "../../train/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { referencesIn, rowAdapters } from "./row-adapters.ts";

/** Rows of a data file by their places, and the column that names their adapters. */
export interface AdaptedRows {
  readonly column: string;
  readonly byPlace: ReadonlyMap<string, Row>;
  /** Every adapter that some row names. */
  readonly references: readonly string[];
}

/** Reads what rows say of their adapters; undefined where no column is named. */
export const adaptedRows = async (options: EvaluateOptions): Promise<AdaptedRows | undefined> => {
  const { adapterColumn: column, adapter, data, stream, againstBase } = options;
  if (column === undefined) return undefined;
  if (stream || againstBase !== undefined)
    throw new LowrankError("invalid-argument", "--adapter-column goes neither with --stream nor with --against-base.", {
      fix: "Leave one of them out.",
    });
  const byPlace = new Map<string, Row>();
  for await (const row of readRows(data)) byPlace.set(row.where, row);
  const references = [...byPlace.values()].flatMap((row) => referencesIn(row, column, adapter));
  return { column, byPlace, references: [...new Set(references)] };
};

/** Measures examples, each with the adapters of its row. */
export const measureRows = async (
  model: LanguageModel,
  { column, byPlace }: AdaptedRows,
  { loss, examples }: { readonly loss: Loss; readonly examples: readonly unknown[] },
  options: EvaluateOptions,
  context: CommandContext,
): Promise<LossReport> => {
  const { cache, usesOf } = await rowAdapters(model, options, context);
  const adapted: AdaptedExample<unknown>[] = [];
  for (const example of examples)
    adapted.push({ example, adapters: await usesOf(byPlace.get(loss.kind.whereOf(example))!, column, options.adapter) });
  const { batchSize, seqLength: maxLength } = options;
  const report = await evaluateMixed(model.backend, { base: model.base, loss, examples: adapted, cache, batchSize, maxLength });
  await cache.dispose();
  return report;
};
