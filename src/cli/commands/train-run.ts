/** @file What `lowrank train` does. */
import { fingerprint } from "../../data/index.ts";
import { sampleEmbedding } from "../../evaluate/index.ts";
import type { StoredAdapter } from "../../lora/index.ts";
import { checkOutput } from "../../train/index.ts";
import type { CommandContext } from "../context.ts";
import { formatBytes, formatCount, formatPercent } from "../ui/format.ts";
import { folderBytes } from "../folder-bytes.ts";
import { adapterConfig } from "./adapter-options.ts";
import { labelsToTrain } from "./labels.ts";
import { lossOf } from "./loss-flags.ts";
import { memoryLimitOf, recomputeOf } from "./memory-flags.ts";
import { openModel } from "./open-model.ts";
import { preparePublishing } from "./publish-result.ts";
import type { TrainOptions } from "./train.ts";
import { loadTrainingData, showData } from "./training-data.ts";
import { runSession, settingsOf, type TrainingResult } from "./training-session.ts";

export const run = async (options: TrainOptions, context: CommandContext): Promise<TrainingResult> => {
  // What preparing a model or finding a start would take minutes to come to.
  const memoryLimit = memoryLimitOf(options);
  await checkOutput(options.output, options.resume);
  const publish = await preparePublishing(options);
  const classifier = await labelsToTrain(options, context);
  const model = await openModel(options, context, { ...(classifier && { classifier }), seed: options.seed });
  try {
    const loss = await lossOf(options, model.base.model);
    const data = await loadTrainingData(options, model.tokenizer, loss);
    showData(data, loss, model.tokenizer, context);
    const { base, backend } = model;
    const attach = (): Promise<StoredAdapter> => {
      // Some starts take minutes.
      if (options.init !== "default") context.out(`Finding where A and B start: ${options.init}.`);
      return model.attach(adapterConfig(options, model.tokenizer), options.seed, {
        data: data.data,
        loss,
        batches: options.initBatches,
        batchSize: options.batchSize,
        sequenceLength: options.seqLength,
      });
    };
    const result = await runSession(
      {
        backend,
        subject: options.method === "full" ? { method: "full", base } : { method: "lora", base, stored: await attach() },
        settings: { ...settingsOf(options), ...recomputeOf(options) },
        loss,
        data: data.data,
        ...(data.heldOut && { heldOut: data.heldOut }),
        output: options.output,
        ...memoryLimit,
        resume: options.resume,
      },
      context,
      "repeat the command with --resume.",
    );
    if (result.reason !== "interrupted" && options.method === "lora") {
      const bytes = await folderBytes(options.output, /^adapter_/);
      context.out(
        `Adapter in ${options.output}: ${formatBytes(bytes)}, ${formatCount(result.trainable)} parameters, ${formatPercent(result.trainable / result.total)} of all.`,
      );
      if (publish !== undefined) {
        const { examples } = data.data;
        const embedding = await sampleEmbedding(backend, base, loss.kind, examples, options.seed);
        return { ...result, published: await publish(result, { fingerprint: fingerprint(loss.kind, examples), embedding }, context) };
      }
      const use = base.model.head.predicts === "tokens" ? "generate" : "classify";
      context.out(`Try it: lowrank ${use} --model ${options.model} --adapter ${options.output} "…"`);
    }
    return result;
  } finally {
    await model.close();
  }
};
