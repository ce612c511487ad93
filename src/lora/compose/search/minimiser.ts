/** @file The contract of a search without gradients: a function of a few numbers in a box, and how often it may be asked. It knows no method. */
import type { Random } from "../../../util/index.ts";

/** What is minimised; a search asks for several points at once where its method has them ready. */
export type Objective = (points: readonly Float64Array[]) => Promise<readonly number[]>;

export interface SearchOptions {
  readonly start: Float64Array;
  /** First standard deviation or edge of the search, in the unit of the coordinates. */
  readonly step: number;
  /** Coordinates stay within ±bound; Infinity leaves them free. */
  readonly bound: number;
  /** Values of the function asked for at most, the start's included. */
  readonly evaluations: number;
  readonly random: Random;
}

export interface SearchResult {
  /** The best point that was asked for. */
  readonly point: Float64Array;
  readonly value: number;
  readonly evaluations: number;
  /** The best value after each evaluation, for plots. */
  readonly history: readonly number[];
}

export type Search = (objective: Objective, options: SearchOptions) => Promise<SearchResult>;

/** The point moved into the box. */
export const inBox = (point: Float64Array, bound: number): Float64Array => point.map((value) => Math.max(-bound, Math.min(bound, value)));

/** Asks within a budget and remembers the best; a value that is not a number counts as the worst. */
export const budgeted = (objective: Objective, { start, bound, evaluations }: SearchOptions) => {
  const history: number[] = [];
  let best = { point: inBox(start, bound), value: Infinity };
  return {
    left: (): number => evaluations - history.length,
    result: (): SearchResult => ({ ...best, evaluations: history.length, history }),
    /** Values of the points moved into the box; of as many as the budget has left. */
    ask: async (points: readonly Float64Array[]): Promise<number[]> => {
      const inside = points.slice(0, evaluations - history.length).map((point) => inBox(point, bound));
      const values = (await objective(inside)).map((value) => (Number.isNaN(value) ? Infinity : value));
      values.forEach((value, index) => {
        if (value < best.value) best = { point: inside[index], value };
        history.push(best.value);
      });
      return values;
    },
  };
};
