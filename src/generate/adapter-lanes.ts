/** @file Which pools the rows of a batch read, and in which slots: a program has a lane for each pool, and several where a row has several adapters of it. It knows nothing about what rows hold. */
import { input } from "../graph/index.ts";
import type { FactorLane } from "../lora/index.ts";
import type { Feed } from "../runtime/index.ts";
import { f32, i32 } from "../util/index.ts";
import { emptySlot, type AdapterPool } from "./adapter-pool.ts";

/** An adapter of a row: where its factors lie, and how strongly it acts. */
export interface RowAdapter {
  readonly pool: AdapterPool;
  readonly slot: number;
  readonly weight: number;
}

export interface AdaptedRow {
  readonly adapters: readonly RowAdapter[];
}

/** The pools that rows read, each as often as the row that needs it most, or as it was before if that was more often. */
export const lanesOf = (rows: readonly AdaptedRow[], before: readonly AdapterPool[] = []): AdapterPool[] => {
  const pools = new Set([...before.filter(({ isGone }) => !isGone), ...rows.flatMap(({ adapters }) => adapters.map(({ pool }) => pool))]);
  return [...pools].flatMap((pool) => {
    const counts = rows.map(({ adapters }) => adapters.filter((adapter) => adapter.pool === pool).length);
    const least = before.filter((lane) => lane === pool).length;
    return Array.from({ length: Math.max(least, ...counts) }, () => pool);
  });
};

/** The adapter that each row has in a lane. */
export const takenFrom = (lanes: readonly AdapterPool[], lane: number, rows: readonly AdaptedRow[]): (RowAdapter | undefined)[] =>
  rows.map(({ adapters }) => adapters.filter(({ pool }) => pool === lanes[lane]).at(lane - lanes.indexOf(lanes[lane])));

/** The same as inputs of one program of B rows. */
export const laneTensors = (lanes: readonly AdapterPool[], B: number): FactorLane[] => {
  const stacks = new Map([...new Set(lanes)].map((pool) => [pool, pool.stacks()]));
  return lanes.map((pool, lane) => ({
    stacks: stacks.get(pool)!,
    slots: input(`slots.${lane}`, [B], "i32"),
    strengths: input(`strengths.${lane}`, [B]),
  }));
};

/** What these inputs are fed; as many rows as the program has. */
export const laneFeeds = (lanes: readonly AdapterPool[], rows: readonly AdaptedRow[]): Record<string, Feed> => {
  const feeds: Record<string, Feed> = {};
  for (const [lane, pool] of lanes.entries()) {
    const taken = takenFrom(lanes, lane, rows);
    feeds[`slots.${lane}`] = i32(taken.map((adapter) => adapter?.slot ?? emptySlot));
    feeds[`strengths.${lane}`] = f32(taken.map((adapter) => adapter?.weight ?? 0));
    Object.assign(feeds, pool.feeds);
  }
  return feeds;
};
