/** @file What `lowrank route` does. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadExamples, planBatches } from "../../data/index.ts";
import { meanEmbedding, routeAdapters, type Suitability } from "../../evaluate/index.ts";
import type { LanguageModel } from "../../language-model.ts";
import { nextToken, type LabelledRows, type TrainingBatch } from "../../train/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { formatFigure, formatPercent } from "../ui/format.ts";
import { formatTable } from "../ui/table.ts";
import type { Base } from "../../models/index.ts";
import { openAdapters, openModel, type NamedAdapter } from "./open-model.ts";
import type { RouteCommandOptions } from "./route.ts";

const rows = 8;

type Batches = (LabelledRows & TrainingBatch)[];

const batchesOf = async (
  { tokenizer, base }: LanguageModel,
  path: string,
  { seqLength, examples: most }: RouteCommandOptions,
): Promise<Batches> => {
  const maxLength = Math.min(seqLength, base.model.maxPositions);
  const { kind } = nextToken;
  const { examples } = await loadExamples(kind, { path, tokenizer, maxLength });
  if (examples.length === 0) throw new LowrankError("invalid-data", "There is no example in it.", { where: path });
  const plans = planBatches(kind, {
    examples: examples.slice(0, most),
    batchSize: rows,
    maxLength,
    order: "sequential",
    seed: 0,
    epoch: 0,
  });
  return plans.map((plan) => kind.collate(plan));
};

/** The input as batches: of a file, or of the text as one example. */
const inputOf = async (model: LanguageModel, options: RouteCommandOptions): Promise<Batches> => {
  const { text, data } = options;
  if ((text === undefined) === (data === undefined))
    throw new LowrankError("invalid-argument", "The input is a text, or examples with --data.", { fix: "Give one of the two." });
  if (data !== undefined) return batchesOf(model, data, options);
  const folder = await mkdtemp(join(tmpdir(), "lowrank-route-"));
  try {
    const path = join(folder, "text.jsonl");
    await writeFile(path, JSON.stringify({ text }));
    return await batchesOf(model, path, options);
  } finally {
    await rm(folder, { recursive: true });
  }
};

/** What was stored when an adapter was published, made by this very base. */
const publishedEmbedding = async ({ record }: NamedAdapter, base: Base): Promise<Float32Array | undefined> => {
  if (record === undefined || record.embedding === null || record.lineage.base !== base.digest) return undefined;
  const { vectorOf } = await import("../../library/index.ts");
  const vector = vectorOf(record.embedding);
  return vector.length === base.model.hiddenSize ? vector : undefined;
};

/** Higher is better. */
const orders: Readonly<Record<RouteCommandOptions["by"], (suits: Suitability) => number>> = {
  loss: ({ gain = -Infinity }) => gain,
  arrow: ({ arrow }) => arrow,
  data: ({ data = -Infinity }) => data,
};

export const run = async (options: RouteCommandOptions, context: CommandContext): Promise<object> => {
  const model = await openModel(options, context);
  const { base, backend } = model;
  try {
    const adapters = await openAdapters(model, options.adapter, options, context);
    const batches = await inputOf(model, options);
    const paths = new Map(options.trainedOn.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
    const embeddings: (Float32Array | undefined)[] = [];
    for (const [index, reference] of options.adapter.entries()) {
      const path = paths.get(reference);
      embeddings.push(
        path === undefined
          ? await publishedEmbedding(adapters[index], base)
          : await meanEmbedding(backend, base, await batchesOf(model, path, options)),
      );
    }
    const suits = await routeAdapters(backend, { base, adapters, batches, embeddings });
    const ranked = suits
      .map((each, index) => ({ adapter: options.adapter[index], ...each }))
      .sort((a, b) => orders[options.by](b) - orders[options.by](a));
    const cell = (value: number | undefined, format: (value: number) => string): string => (value === undefined ? "–" : format(value));
    context.out(
      formatTable(
        [
          { title: "adapter" },
          { title: "loss", align: "right" },
          { title: "below the base", align: "right" },
          { title: "reacts (Arrow)", align: "right" },
          { title: "like its data", align: "right" },
        ],
        ranked.map(({ adapter, loss, gain, arrow, data }) => [
          adapter,
          cell(loss, formatFigure),
          cell(gain, formatFigure),
          formatPercent(arrow),
          cell(data, (value) => value.toFixed(2)),
        ]),
        context,
      ),
    );
    return { model: base.directory, by: options.by, adapters: ranked };
  } finally {
    await model.close();
  }
};
