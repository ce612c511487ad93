/**
 * @file The factors that the rows of a batch multiply with, row behind row: taken out of their pool once, when a row comes with its adapters,
 * instead of at every step. It knows nothing about which adapters they are.
 */
import { gather, input, program, type Graph } from "../graph/index.ts";
import type { FactorLane } from "../lora/index.ts";
import type { Backend, Feed, Programs, Resident } from "../runtime/index.ts";
import { f32, i32 } from "../util/index.ts";
import { takenFrom, type AdaptedRow, type RowAdapter } from "./adapter-lanes.ts";
import type { AdapterPool } from "./adapter-pool.ts";
import { compiledOnce } from "./decoder.ts";

export interface RowLanes {
  /** Brings the rows in step with their adapters; resolves to what the inputs of `rowLaneTensors` are fed. */
  feeds(lanes: readonly AdapterPool[], rows: readonly AdaptedRow[]): Promise<Record<string, Feed>>;
  /** Frees the factors; the next feeds take them anew. */
  dispose(): Promise<void>;
}

const factorName = (lane: number, factor: string): string => `rows.${lane}.${factor}`;
const strengthsName = (lane: number): string => `strengths.${lane}`;

/** The factors of B rows as inputs of one program. */
export const rowLaneTensors = (lanes: readonly AdapterPool[], B: number): FactorLane[] =>
  lanes.map(({ form }, lane) => ({
    stacks: new Map([...form.shapes].map(([factor, shape]) => [factor, input(factorName(lane, factor), [B, ...shape])])),
    strengths: input(strengthsName(lane), [B]),
  }));

// The factors in one slot of a pool: (1, …) each.
const takingProgram = (pool: AdapterPool): Graph => {
  const slot = input("slot", [1], "i32");
  return program(Object.fromEntries([...pool.stacks()].map(([factor, stack]) => [factor, gather(stack, slot)])));
};

interface Held {
  readonly factors: Readonly<Record<string, Resident>>;
  /** Whose factors lie in each row. */
  readonly adapters: (RowAdapter | undefined)[];
}

/** Starts without any factors; its programs are shared with those of the batch. */
export const rowLanes = (backend: Backend, programs: Programs): RowLanes => {
  const all = new Map<string, Held>();
  const release = async (name: string): Promise<void> => {
    const held = all.get(name);
    all.delete(name);
    for (const resident of Object.values(held?.factors ?? {})) await backend.release(resident);
  };
  const heldBy = async (name: string, { form }: AdapterPool, count: number): Promise<Held> => {
    const found = all.get(name);
    if (found?.adapters.length === count) return found;
    await release(name);
    const factors: Record<string, Resident> = {};
    const held: Held = { factors, adapters: Array.from({ length: count }, () => undefined) };
    all.set(name, held);
    for (const [factor, shape] of form.shapes) factors[factor] = await backend.allocate([count, ...shape]);
    return held;
  };
  const take = async ({ factors, adapters }: Held, row: number, adapter: RowAdapter): Promise<void> => {
    const { pool, slot } = adapter;
    const executable = await compiledOnce(backend, programs, `factors ${pool.name}`, () => takingProgram(pool));
    const store = Object.entries(factors).map(([output, into]) => ({ output, into, axis: 1, row, offsets: [0] }));
    await executable.run({ ...pool.feeds, slot: i32([slot]) }, { store });
    adapters[row] = adapter;
  };
  return {
    feeds: async (lanes, rows) => {
      const feeds: Record<string, Feed> = {};
      const names = lanes.map((pool, lane) => `${pool.name} ${lane - lanes.indexOf(pool)}`);
      for (const name of all.keys()) if (!names.includes(name)) await release(name);
      for (const [lane, pool] of lanes.entries()) {
        const taken = takenFrom(lanes, lane, rows);
        const held = await heldBy(names[lane], pool, rows.length);
        // Each use of an adapter is an object of its own. A row without one keeps what it has, at strength 0.
        for (const [row, adapter] of taken.entries())
          if (adapter !== undefined && held.adapters[row] !== adapter) await take(held, row, adapter);
        feeds[strengthsName(lane)] = f32(taken.map((adapter) => adapter?.weight ?? 0));
        for (const [factor, resident] of Object.entries(held.factors)) feeds[factorName(lane, factor)] = resident;
      }
      return feeds;
    },
    dispose: async () => {
      for (const name of all.keys()) await release(name);
    },
  };
};
