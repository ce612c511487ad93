/** @file What a classifier says of texts: the probability of each class, or a value. It knows nothing about where texts come from. */
import { encodeDocument, planBatches, type LabelledExample, type Texts } from "../data/index.ts";
import type { Tokenizer } from "../formats/index.ts";
import type { Inference } from "../generate/index.ts";
import { program } from "../graph/index.ts";
import type { Head } from "../models/index.ts";
import type { Backend, Executable } from "../runtime/index.ts";
import { documentReader, shapeKey } from "../train/index.ts";
import type { HostTensor } from "../util/index.ts";

/** The likeliest class and the probability of each, or the value, by label. */
export interface Prediction {
  readonly label: string;
  /** Probabilities of classes, which add up to 1, or values. */
  readonly scores: Readonly<Record<string, number>>;
}

const softmax = (logits: readonly number[]): number[] => {
  const greatest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - greatest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
};

const scoresOf: Readonly<Record<Head["predicts"], (logits: readonly number[]) => readonly number[]>> = {
  classes: softmax,
  values: (logits) => logits,
  tokens: softmax,
};

const predictionOf = ({ labels, predicts }: Head, logits: readonly number[]): Prediction => {
  const scores = scoresOf[predicts](logits);
  return {
    label: labels[scores.indexOf(Math.max(...scores))],
    scores: Object.fromEntries(labels.map((label, index) => [label, scores[index]])),
  };
};

export interface PredictOptions {
  /** Default 8. */
  readonly batchSize?: number;
  /** Tokens of a text at most; what is longer loses its end. Default 512, or the model's positions where they are fewer. */
  readonly maxLength?: number;
}

/** Predictions for texts, or pairs of them, in their order; `unsupported` where the model's head predicts tokens. */
export const predict = async (
  backend: Backend,
  { model, modules, feeds }: Inference,
  tokenizer: Tokenizer,
  texts: readonly Texts[],
  { batchSize = 8, maxLength = Math.min(512, model.maxPositions) }: PredictOptions = {},
): Promise<Prediction[]> => {
  const { kind, shapeOf, feeds: feedsOf, logits } = documentReader(model);
  // Batches come in order of length; the number that stands for the label says which text it was.
  const examples = texts.map((text, index): LabelledExample => ({
    ...encodeDocument(tokenizer, text, maxLength),
    label: index,
    where: "",
  }));
  const plans = planBatches(kind, { examples, batchSize, maxLength, order: "sequential", seed: 0, epoch: 0 });
  const compiled = new Map<string, Executable>();
  const predictions: Prediction[] = [];
  for (const batch of plans.map((plan) => kind.collate(plan))) {
    const shape = shapeOf(batch);
    const key = shapeKey(shape);
    const built = () => program({ logits: logits({ model, modules: modules(), differentiable: false }, shape) });
    const executable = compiled.get(key) ?? (await backend.compile(built()));
    compiled.set(key, executable);
    const result = (await executable.run({ ...feeds, ...feedsOf(batch, shape) })) as Record<string, HostTensor>;
    const values = Array.from(result["logits"].data, Number); // (L, outputs)
    const { outputs } = model.head;
    batch.labels.forEach((index, place) => {
      predictions[index] = predictionOf(model.head, values.slice(place * outputs, (place + 1) * outputs));
    });
  }
  for (const executable of compiled.values()) await executable.dispose();
  return predictions;
};
