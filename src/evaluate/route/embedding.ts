/** @file What texts are about as the base itself sees it: the mean of its last hidden states. It knows nothing about adapters. */
import { materialise, planEpoch, truncate, type Example } from "../../data/index.ts";
import { input, matmul, type Tensor } from "../../graph/index.ts";
import { frozenModules, type Base } from "../../models/index.ts";
import { runOnce, type Backend } from "../../runtime/index.ts";
import { hiddenStates, rowFeeds, tokenInputs, type TokenRows } from "../../train/index.ts";
import { f32, hashText, permutation, random } from "../../util/index.ts";

/** The mean last hidden state over the tokens of batches: (D). */
export const meanEmbedding = async (backend: Backend, base: Base, batches: Iterable<TokenRows>): Promise<Float32Array> => {
  const mean = new Float32Array(base.model.hiddenSize);
  let tokens = 0;
  for (const batch of batches) {
    const { rows: B, length: T } = batch;
    const hidden = hiddenStates({ model: base.model, differentiable: false }, frozenModules(base), tokenInputs({ B, T })); // (B·T, D)
    const sum: Tensor = matmul(input("real", [1, B * T]), hidden); // (1, D)
    const real = Float32Array.from(batch.segments, (segment) => Number(segment > 0));
    const { sum: values } = await runOnce(backend, { sum }, { ...rowFeeds(batch), real: f32(real, [1, B * T]) });
    mean.forEach((_, index) => (mean[index] += Number(values.data[index])));
    tokens += real.reduce((count, value) => count + value, 0);
  }
  return mean.map((value) => value / Math.max(tokens, 1));
};

/** An embedding, and the sample that it is of. */
export interface SampleEmbedding {
  readonly examples: number;
  readonly tokens: number;
  readonly mean: Float32Array; // (D)
}

const sampled = { examples: 32, tokens: 256, rows: 8 };
const stream = hashText("data-embedding");

/**
 * The embedding of a sample of examples, each by its rows and of those the first tokens, so that it takes seconds however many there are.
 * The seed decides which. Undefined for encoder–decoders, whose states are of two texts.
 */
export const sampleEmbedding = async <E>(
  backend: Backend,
  base: Base,
  { partsOf }: { partsOf(example: E): Readonly<Record<string, Example>> },
  examples: readonly E[],
  seed: number,
): Promise<SampleEmbedding | undefined> => {
  const { decoderStart, maxPositions } = base.model;
  if (decoderStart !== undefined) return undefined;
  const chosen = Array.from(permutation(examples.length, random(seed, stream)).slice(0, sampled.examples), (index) => examples[index]);
  const maxLength = Math.min(sampled.tokens, maxPositions);
  const rows = chosen.flatMap((example) => Object.values(partsOf(example))).map((row) => truncate(row, maxLength));
  const plans = planEpoch({ examples: rows, batchSize: sampled.rows, maxLength, order: "sequential", seed: 0, epoch: 0 });
  const mean = await meanEmbedding(backend, base, plans.map(materialise));
  return { examples: chosen.length, tokens: rows.reduce((sum, { ids }) => sum + ids.length, 0), mean };
};

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let total = 0;
  for (let index = 0; index < a.length; index++) total += a[index] * b[index];
  return total;
};

/**
 * Cosine of a text's embedding with that of each adapter's data, −1 … 1. What all data have in common is taken away first: hidden states of
 * any text are nearly parallel.
 */
export const embeddingScores = (text: ArrayLike<number>, data: readonly ArrayLike<number>[]): number[] => {
  const common = Float64Array.from(text, (_, index) => data.reduce((sum, vector) => sum + vector[index], 0) / data.length);
  const own = (vector: ArrayLike<number>): Float64Array => Float64Array.from(vector, (value, index) => value - common[index]);
  const query = own(text);
  return data.map((vector) => {
    const centred = own(vector);
    const sizes = Math.sqrt(dot(query, query) * dot(centred, centred));
    return sizes === 0 ? 0 : dot(query, centred) / sizes;
  });
};
