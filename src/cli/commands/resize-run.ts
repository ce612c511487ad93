/** @file What `lowrank resize` does. */
import { loadExamples, planBatches } from "../../data/index.ts";
import { evaluateLoss } from "../../evaluate/index.ts";
import { adaptedInference } from "../../generate/index.ts";
import type { LanguageModel } from "../../language-model.ts";
import { composeAdapters, type StoredAdapter } from "../../lora/index.ts";
import { lossOfHead } from "../../train/index.ts";
import type { CommandContext } from "../context.ts";
import { checkOutputFolder } from "../output-place.ts";
import { formatFigure } from "../ui/format.ts";
import { publishComposed, writeComposed } from "./composed-adapter.ts";
import { openAdapters, openModel } from "./open-model.ts";
import type { ResizeOptions } from "./resize.ts";

const rows = 8;

/** Mean loss on a data file with an adapter at work. */
const lossWith = async (
  { base, backend, tokenizer }: LanguageModel,
  path: string,
  maxLength: number,
  stored: StoredAdapter,
): Promise<number> => {
  const objective = lossOfHead(base.model);
  const { kind } = objective;
  const { examples } = await loadExamples(kind, { path, tokenizer, maxLength });
  const plans = planBatches(kind, { examples, batchSize: rows, maxLength, order: "sequential", seed: 0, epoch: 0 });
  const inference = await adaptedInference(backend, base, [{ ...stored, weight: 1 }]);
  try {
    const { loss } = await evaluateLoss(backend, { base, inference, loss: objective, batches: plans.map((plan) => kind.collate(plan)) });
    return loss;
  } finally {
    await inference.dispose();
  }
};

export const run = async (options: ResizeOptions, context: CommandContext): Promise<object> => {
  await checkOutputFolder(options.output, options.force);
  const model = await openModel(options, context);
  const { base, backend } = model;
  try {
    const [given] = await openAdapters(model, [options.adapter], options, context);
    const largest = Math.max(...Array.from(given.adapter.targets.values(), ({ rank }) => rank));
    const { rank = largest, energy, data, output } = options;
    const resized = await composeAdapters(backend, base, [{ ...given, weight: 1 }], { method: "svd", rank, energy });
    const losses =
      data === undefined
        ? undefined
        : {
            before: await lossWith(model, data, options.seqLength, given),
            after: await lossWith(model, data, options.seqLength, resized.stored),
          };
    const report = await writeComposed(base, resized, output, context);
    if (losses !== undefined) context.out(`Loss on ${data}: ${formatFigure(losses.before)} before, ${formatFigure(losses.after)} after.`);
    const published = await publishComposed(output, options, [{ directory: given.directory, weight: 1 }], context);
    return { model: base.directory, adapter: given.directory, ...report, ...(losses && { losses }), ...published };
  } finally {
    await model.close();
  }
};
