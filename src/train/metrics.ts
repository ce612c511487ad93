/** @file Means and counts over many batches from those of each. It knows nothing about what is measured. */
import type { HostTensor } from "../util/index.ts";
import type { Metrics } from "./losses/loss.ts";
import { countPrefix, metricPrefix } from "./step.ts";

/** A mean before it is divided. */
export interface WeightedSum {
  readonly sum: number;
  readonly weight: number;
}

export type MetricSums = Readonly<Record<string, WeightedSum>>;

/** The metrics among a program's outputs. */
export const metricSums = (outputs: Readonly<Record<string, HostTensor>>): MetricSums =>
  Object.fromEntries(
    Object.entries(outputs)
      .filter(([name]) => name.startsWith(metricPrefix))
      .map(([name, { data }]) => [name.slice(metricPrefix.length), { sum: Number(data[0]), weight: Number(data[1]) }]),
  );

/** Vectors of counts by name. */
export type Counts = Readonly<Record<string, readonly number[]>>;

/** The counts among a program's outputs. */
export const countsOf = (outputs: Readonly<Record<string, HostTensor>>): Counts =>
  Object.fromEntries(
    Object.entries(outputs)
      .filter(([name]) => name.startsWith(countPrefix))
      .map(([name, { data }]) => [name.slice(countPrefix.length), Array.from(data, Number)]),
  );

/** Both together; a name may be missing in either. */
export const addCounts = (first: Counts, second: Counts): Counts => {
  const added = Object.entries(second).map(([name, vector]) => [name, vector.map((value, index) => value + (first[name]?.[index] ?? 0))]);
  return { ...first, ...Object.fromEntries(added) };
};

/** Both together; a name may be missing in either. */
export const addSums = (first: MetricSums, second: MetricSums): MetricSums => {
  const added = Object.entries(second).map(([name, { sum, weight }]) => [
    name,
    { sum: sum + (first[name]?.sum ?? 0), weight: weight + (first[name]?.weight ?? 0) },
  ]);
  return { ...first, ...Object.fromEntries(added) };
};

/** The means; what nothing was counted for is left out. */
export const meansOf = (sums: MetricSums): Metrics =>
  Object.fromEntries(
    Object.entries(sums)
      .filter(([, { weight }]) => weight !== 0)
      .map(([name, { sum, weight }]) => [name, sum / weight]),
  );
