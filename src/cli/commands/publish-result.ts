/** @file Puts what a run has trained into the library, with its metrics and where it comes from. It knows nothing about training. */
import { resolve } from "node:path";
import type { SampleEmbedding } from "../../evaluate/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import type { TrainingResult } from "./training-session.ts";

export interface PublishFlags {
  readonly method: "lora" | "full";
  readonly publish?: string | undefined;
  readonly library?: string | undefined;
}

/** What a run has learnt from. */
export interface PublishedData {
  readonly fingerprint: string;
  readonly embedding: SampleEmbedding | undefined;
}

/** What the run measured; with held-out data it is the best evaluation, whose adapter was kept. */
const metricsOf = ({ loss, steps, tokens, evaluation }: TrainingResult): Record<string, number> => ({
  train_loss: loss,
  ...(evaluation && { eval_loss: evaluation.best, eval_perplexity: Math.exp(evaluation.best) }),
  steps,
  tokens,
});

/** Opens the library before a run, so that a name or a folder that cannot be used is refused before it; gives what publishes the result, with what is known of its data. */
export const preparePublishing = async ({ publish: name, library: given, method }: PublishFlags) => {
  if (name === undefined) return undefined;
  if (method === "full")
    throw new LowrankError("invalid-argument", "--publish is for adapters, and --method full trains a whole model.", {
      fix: "Leave one out.",
    });
  const { checkName, libraryDirectory, openLibrary, vectorText } = await import("../../library/index.ts");
  checkName(name);
  const folder = given ?? libraryDirectory();
  (await openLibrary(folder, { create: true })).close();
  return async (
    result: TrainingResult,
    { fingerprint: data, embedding }: PublishedData,
    context: CommandContext,
  ): Promise<{ name: string; version: number; digest: string }> => {
    const library = await openLibrary(folder);
    try {
      const { record, version } = await library.add(result.output, {
        name,
        metrics: metricsOf(result),
        lineage: { data, run: resolve(result.output) },
        ...(embedding && {
          embedding: { examples: embedding.examples, tokens: embedding.tokens, vector: vectorText(embedding.mean) },
        }),
      });
      context.out(`Published as ${name}@${version.version} in ${library.folder}.`);
      return { name, version: version.version, digest: record.digest };
    } finally {
      library.close();
    }
  };
};
