/**
 * @file Mean loss over examples that have adapters of their own: those whose adapters can be mixed share batches, row by row, the others have
 * batches for each choice of adapters. It knows nothing about where adapters come from.
 */
import { planBatches } from "../data/index.ts";
import {
  baseInference,
  canMix,
  choiceKey,
  inferenceUnder,
  laneFeeds,
  lanesOf,
  laneTensors,
  type AdapterCache,
  type AdapterLease,
  type AdapterPool,
  type AdapterUse,
} from "../generate/index.ts";
import { rowAdaptedModules } from "../lora/index.ts";
import type { Base } from "../models/index.ts";
import type { Backend } from "../runtime/index.ts";
import type { Loss, TrainingBatch } from "../train/index.ts";
import { addLossSums, reportOf, sumLosses, type BatchRun, type LossReport } from "./loss.ts";

/** An example, and the adapters that it is measured with. */
export interface AdaptedExample<Example> {
  readonly example: Example;
  readonly adapters: readonly AdapterUse[];
}

export interface MixedLossOptions<Example, Batch extends TrainingBatch> {
  readonly base: Base;
  readonly loss: Loss<Example, Batch>;
  readonly examples: readonly AdaptedExample<Example>[];
  readonly cache: AdapterCache;
  readonly batchSize: number;
  /** Longest row in tokens. */
  readonly maxLength: number;
}

/** The loss of each example under its own adapters, as measured one choice of adapters after the other; how far they shared batches shows in nothing but the time. */
export const evaluateMixed = async <Example, Batch extends TrainingBatch>(
  backend: Backend,
  { base, loss, examples, cache, batchSize, maxLength }: MixedLossOptions<Example, Batch>,
): Promise<LossReport> => {
  const { head } = base.model;
  const plansOf = (chosen: readonly AdaptedExample<Example>[]) =>
    planBatches(loss.kind, {
      examples: chosen.map(({ example }) => example),
      batchSize,
      maxLength,
      order: "sequential",
      seed: 0,
      epoch: 0,
    });

  /** Whether an example's adapters act on nothing but rows of the batch: a head that predicts tokens reads chosen ones of any row. */
  const mixes = async ({ adapters }: AdaptedExample<Example>): Promise<boolean> => {
    if (!(await canMix(cache, adapters))) return false;
    for (const { source } of adapters) {
      const { pool, release } = await cache.acquire(source);
      release();
      if (head.predicts === "tokens" && head.linear !== undefined && pool.form.shapes.has(`${head.linear}.A`)) return false;
    }
    return true;
  };

  const mixedRuns = async function* (chosen: readonly AdaptedExample<Example>[]): AsyncGenerator<BatchRun<Batch>> {
    const inference = baseInference(base);
    const plans = plansOf(chosen);
    const usesOf = (plan: number): readonly (readonly AdapterUse[])[] => plans[plan]?.rows.map(([index]) => chosen[index].adapters) ?? [];
    let lanes: AdapterPool[] = [];
    for (const [index, plan] of plans.entries()) {
      const leases: AdapterLease[] = [];
      try {
        const rows = Array.from({ length: plan.batchSize }, () => ({ adapters: [] as (AdapterLease & { weight: number })[] }));
        for (const [row, uses] of usesOf(index).entries())
          for (const { source, weight } of uses) {
            const lease = await cache.acquire(source);
            leases.push(lease);
            rows[row].adapters.push({ ...lease, weight });
          }
        cache.expect(usesOf(index + 1).flatMap((uses) => uses.map(({ source }) => source)));
        lanes = lanesOf(rows, lanes);
        const modules = () => rowAdaptedModules(inference.modules(), laneTensors(lanes, plan.batchSize), plan.batchSize);
        yield {
          batch: loss.kind.collate(plan),
          model: { model: base.model, modules },
          feeds: laneFeeds(lanes, rows),
          key: lanes.map(({ name }) => name).join(),
        };
      } finally {
        for (const { release } of leases) release();
      }
    }
  };

  const mixed: AdaptedExample<Example>[] = [];
  const groups = new Map<string, AdaptedExample<Example>[]>();
  for (const one of examples)
    if (loss.keepsRows === true && (await mixes(one))) mixed.push(one);
    else {
      const key = choiceKey(one.adapters);
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }

  let sums = await sumLosses(backend, base, loss, mixedRuns(mixed));
  for (const group of groups.values()) {
    const inference = await inferenceUnder(backend, base, group[0].adapters);
    try {
      const runs = plansOf(group).map((plan) => ({ batch: loss.kind.collate(plan), model: inference, feeds: inference.feeds, key: "" }));
      sums = addLossSums(sums, await sumLosses(backend, base, loss, runs));
    } finally {
      await inference.dispose();
    }
  }
  return reportOf(loss, sums);
};
