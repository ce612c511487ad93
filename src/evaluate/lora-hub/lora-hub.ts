/** @file LoraHub [Huang et al. 2023]: a new task's adapter from those of other tasks, weighed by the loss of a few examples. It knows nothing about files. */
import { composeAdapters, moduleTerms, type Composition, type StoredAdapter } from "../../lora/index.ts";
import type { Base } from "../../models/index.ts";
import type { Backend } from "../../runtime/index.ts";
import type { Loss, TrainingBatch } from "../../train/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { FormName } from "./forms.ts";
import { hubLoss, type HubLoss } from "./hub-loss.ts";
import { strategies, type Chosen, type StrategyName } from "./strategies.ts";

export interface HubOptions<Batch extends TrainingBatch> {
  readonly base: Base;
  readonly adapters: readonly StoredAdapter[];
  readonly loss: Loss<unknown, Batch>;
  /** The few examples, as batches. */
  readonly batches: readonly Batch[];
  /** Whether weights act on updates, which is exact, or on factors as in the paper. Default "updates". */
  readonly form?: FormName;
  /** Default "cma-es". */
  readonly strategy?: StrategyName;
  /** Default 40, as in the paper. */
  readonly evaluations?: number;
  /** Default 1.5, as in the paper. */
  readonly bound?: number;
  /** Default 1; the paper has 0.05, with which five examples are learned by heart. */
  readonly regularisation?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** The loss of the examples as a function of the adapters' weights; dispose it when done. */
export const openHub = async <Batch extends TrainingBatch>(backend: Backend, options: HubOptions<Batch>): Promise<HubLoss> => {
  const { base, adapters, loss, batches, form = "updates" } = options;
  if (adapters.length === 0)
    throw new LowrankError("invalid-argument", "There is nothing to compose.", { fix: "Name at least one adapter." });
  const modules = await moduleTerms(
    backend,
    base,
    adapters.map((stored) => ({ ...stored, weight: 1 })),
  );
  return hubLoss(backend, { base, modules, count: adapters.length, form, loss, batches });
};

/** Weights by a strategy. */
export const chooseWeights = (loss: HubLoss, options: Omit<HubOptions<TrainingBatch>, "base" | "loss" | "batches">): Promise<Chosen> => {
  const { adapters, strategy = "cma-es", evaluations = 40, bound = 1.5, regularisation = 1, seed = 0 } = options;
  return strategies[strategy]({ loss, count: adapters.length, evaluations, bound, regularisation, seed });
};

/**
 * Finds weights for adapters by the loss of a few examples and composes them into one; the same seed gives the same bytes.
 * @example const { weights, stored } = await hubCompose(backend, { base, adapters, loss: nextToken, batches });
 */
export const hubCompose = async <Batch extends TrainingBatch>(
  backend: Backend,
  options: HubOptions<Batch>,
): Promise<Chosen & Pick<Composition, "stored">> => {
  const loss = await openHub(backend, options);
  try {
    const chosen = await chooseWeights(loss, options);
    const weighted = options.adapters.map((stored, index) => ({ ...stored, weight: chosen.weights[index] }));
    const { stored } = await composeAdapters(
      backend,
      options.base,
      weighted.filter(({ weight }) => weight !== 0),
      { method: options.form === "factors" ? "lorahub" : "cat" },
    );
    return { ...chosen, stored };
  } finally {
    await loss.dispose();
  }
};
