/** @file Which adapters suit an input, by several measures side by side, each with its order. It knows nothing about files. */
import type { StoredAdapter } from "../../lora/index.ts";
import type { Base } from "../../models/index.ts";
import type { Backend } from "../../runtime/index.ts";
import type { LabelledRows, TokenRows, TrainingBatch } from "../../train/index.ts";
import { nextToken } from "../../train/index.ts";
import { openHub } from "../lora-hub/lora-hub.ts";
import { arrowScores } from "./arrow.ts";
import { embeddingScores, meanEmbedding } from "./embedding.ts";

export interface RouteOptions {
  readonly base: Base;
  readonly adapters: readonly StoredAdapter[];
  /** What the input is. */
  readonly batches: readonly (LabelledRows & TrainingBatch)[];
  /** Embedding of the data that each adapter was trained on, as far as it is known. */
  readonly embeddings?: readonly (ArrayLike<number> | undefined)[];
}

/** How one adapter suits the input; a measure that could not be taken is absent. */
export interface Suitability {
  /** Loss of the input with the adapter, and how much lower it is than the base's. */
  readonly loss?: number;
  readonly gain?: number;
  /** Mean |cos| of what the layers read with the directions that the adapter reacts to, 0 … 1. */
  readonly arrow: number;
  /** Cosine of the input's embedding with that of the adapter's data, −1 … 1. */
  readonly data?: number;
}

const labelled = ({ labels }: LabelledRows): boolean => labels.some((label) => label >= 0);

const losses = async (
  backend: Backend,
  { base, adapters, batches }: RouteOptions,
): Promise<{ loss: number; gain: number }[] | undefined> => {
  if (!batches.some(labelled)) return undefined;
  const hub = await openHub(backend, { base, adapters, loss: nextToken, batches: batches.filter(labelled) });
  try {
    const without = await hub.value(new Float64Array(adapters.length));
    const found: { loss: number; gain: number }[] = [];
    for (let index = 0; index < adapters.length; index++) {
      const loss = await hub.value(Float64Array.from(adapters, (_, place) => Number(place === index)));
      found.push({ loss, gain: without - loss });
    }
    return found;
  } finally {
    await hub.dispose();
  }
};

const weighted = async (
  backend: Backend,
  base: Base,
  adapters: readonly StoredAdapter[],
  batches: readonly TokenRows[],
): Promise<number[]> => {
  const sums = adapters.map(() => 0);
  let tokens = 0;
  for (const batch of batches) {
    const count = batch.segments.reduce((sum, segment) => sum + Number(segment > 0), 0);
    (await arrowScores(backend, base, adapters, batch)).forEach((score, index) => (sums[index] += score * count));
    tokens += count;
  }
  return sums.map((sum) => sum / Math.max(tokens, 1));
};

/**
 * Measures how each adapter suits an input: by loss, by Arrow's prototypes, and by the data that it was trained on.
 * @example const suits = await routeAdapters(backend, { base, adapters, batches }); // suits[0].gain
 */
export const routeAdapters = async (backend: Backend, options: RouteOptions): Promise<Suitability[]> => {
  const { base, adapters, batches, embeddings = [] } = options;
  const byLoss = await losses(backend, options);
  const byArrow = await weighted(backend, base, adapters, batches);
  const known = adapters.map((_, index) => index).filter((index) => embeddings[index] !== undefined);
  const byData = new Map<number, number>();
  // One embedding has nothing to be told apart from.
  if (known.length > 1) {
    const scores = embeddingScores(
      await meanEmbedding(backend, base, batches),
      known.map((index) => embeddings[index]!),
    );
    known.forEach((index, place) => byData.set(index, scores[place]));
  }
  return adapters.map((_, index) => {
    const data = byData.get(index);
    return { arrow: byArrow[index], ...byLoss?.[index], ...(data !== undefined && { data }) };
  });
};
