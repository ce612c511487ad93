/** @file What `lowrank hub-compose` does. */
import { resolve } from "node:path";
import { loadExamples, planBatches } from "../../data/index.ts";
import { evaluateLoss, hubCompose } from "../../evaluate/index.ts";
import { adaptedInference, baseInference, type Inference } from "../../generate/index.ts";
import { saveAdapter } from "../../lora/index.ts";
import { lossOfHead, type TrainingBatch } from "../../train/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { checkOutputFolder } from "../output-place.ts";
import { formatFigure } from "../ui/format.ts";
import { formatTable } from "../ui/table.ts";
import { publishComposed } from "./composed-adapter.ts";
import type { HubComposeOptions } from "./hub-compose.ts";
import { openAdapters, openModel } from "./open-model.ts";

const rows = 8;

export const run = async (options: HubComposeOptions, context: CommandContext): Promise<object> => {
  await checkOutputFolder(options.output, options.force);
  const model = await openModel(options, context);
  const { base, backend, tokenizer } = model;
  try {
    const adapters = await openAdapters(model, options.adapter, options, context);
    const objective = lossOfHead(base.model);
    const { kind } = objective;
    const batchesOf = async (path: string, most = Infinity): Promise<TrainingBatch[]> => {
      const maxLength = Math.min(options.seqLength, base.model.maxPositions);
      const { examples } = await loadExamples(kind, { path, tokenizer, maxLength });
      if (examples.length === 0) throw new LowrankError("invalid-data", "There is no example to learn from.", { where: path });
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
    const { strategy, evaluations, bound, regularisation, seed } = options;
    const batches = await batchesOf(options.data, options.examples);
    const { stored, weights, loss, ...found } = await hubCompose(backend, {
      base,
      adapters,
      loss: objective,
      batches,
      form: options.on,
      strategy,
      evaluations,
      bound,
      regularisation,
      seed,
    });
    await saveAdapter(options.output, base.model, stored, base.digest);

    const measured = options.evalData === undefined ? undefined : await batchesOf(options.evalData);
    const lossOf = async (inference: Inference): Promise<number> => {
      const report = await evaluateLoss(backend, { base, inference, loss: objective, batches: measured! });
      await inference.dispose();
      return report.loss;
    };
    const heldOut = measured && {
      base: await lossOf(baseInference(base)),
      composed: await lossOf(await adaptedInference(backend, base, [{ ...stored, weight: 1 }])),
    };
    const parents = adapters.map(({ directory }, index) => ({ adapter: directory, weight: weights[index] }));
    context.out(
      formatTable(
        [{ title: "adapter" }, { title: "weight", align: "right" }],
        parents.map(({ adapter, weight }) => [adapter, weight.toFixed(3)]),
        context,
      ),
    );
    context.out(`Loss of the examples ${formatFigure(loss)} after ${found.evaluations} evaluations; adapter in ${options.output}.`);
    if (heldOut !== undefined)
      context.out(`Held-out loss ${formatFigure(heldOut.base)} of the base, ${formatFigure(heldOut.composed)} with the adapter.`);
    const made = adapters.map(({ directory }, index) => ({ directory, weight: weights[index] })).filter(({ weight }) => weight !== 0);
    const published = await publishComposed(options.output, options, made, context);
    return {
      model: base.directory,
      output: resolve(options.output),
      strategy,
      on: options.on,
      seed,
      parents,
      loss,
      ...found,
      ...(heldOut && { heldOut }),
      ...published,
    };
  } finally {
    await model.close();
  }
};
