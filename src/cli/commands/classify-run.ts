/** @file What `lowrank classify` does: a line for each text, with the probability of each class or the value. */
import { text as readText } from "node:stream/consumers";
import pc from "picocolors";
import type { Prediction } from "../../evaluate/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { formatFigure } from "../ui/format.ts";
import type { ClassifyCommandOptions } from "./classify.ts";
import { labelsOfAdapters } from "./labels.ts";
import { openAdapters, openModel } from "./open-model.ts";

const readTexts = async (given: readonly string[], input: NodeJS.ReadableStream): Promise<readonly string[]> => {
  if (given.length > 1 || given[0] !== "-") return given;
  return (await readText(input)).split(/\r?\n/).filter((line) => line.trim() !== "");
};

const line = ({ label, scores }: Prediction, isClassifier: boolean, bold: (text: string) => string): string => {
  const ranked = Object.entries(scores).sort(([, a], [, b]) => b - a);
  const figures = ranked.map(([name, score]) => `${name} ${isClassifier ? score.toFixed(3) : formatFigure(score)}`).join("  ");
  return isClassifier ? `${bold(label)}  ${figures}` : figures;
};

export const run = async (
  options: ClassifyCommandOptions,
  context: CommandContext,
  input: NodeJS.ReadableStream = process.stdin,
): Promise<object> => {
  const texts = await readTexts(options.texts, input);
  if (texts.length === 0) throw new LowrankError("invalid-argument", "Standard input has no text.", { fix: "Give one text a line." });
  const { bold, dim } = pc.createColors(context.colour);
  const classifier = await labelsOfAdapters(options, context);
  const model = await openModel(options, context, classifier && { classifier });
  try {
    const adapters = await openAdapters(model, options.adapter, options, context);
    const { batchSize, seqLength: maxLength } = options;
    const predictions = await model.classify(texts, { adapters, batchSize, ...(maxLength && { maxLength }) });
    const isClassifier = model.base.model.head.predicts === "classes";
    for (const [index, prediction] of predictions.entries()) context.out(`${line(prediction, isClassifier, bold)}  ${dim(texts[index])}`);
    return {
      model: model.base.directory,
      adapters: adapters.map(({ directory, weight }) => ({ directory, scale: weight })),
      predicts: model.base.model.head.predicts,
      texts: predictions.map((prediction, index) => ({ text: texts[index], ...prediction })),
    };
  } finally {
    await model.close();
  }
};
