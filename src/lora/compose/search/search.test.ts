/** @file The searches on functions whose minimum is known. */
import { describe, expect, it } from "vitest";
import { random } from "../../../util/index.ts";
import { cmaEs } from "./cma-es.ts";
import type { Objective, Search, SearchOptions } from "./minimiser.ts";
import { nelderMead } from "./nelder-mead.ts";

const each =
  (value: (point: Float64Array) => number): Objective =>
  (points) =>
    Promise.resolve(points.map(value));

const sphere = (point: Float64Array): number => point.reduce((sum, x, index) => sum + (x - index / 10) ** 2, 0);
const ellipsoid = (point: Float64Array): number =>
  point.reduce((sum, x, index) => sum + 10 ** ((4 * index) / (point.length - 1)) * x ** 2, 0);
const rosenbrock = (point: Float64Array): number =>
  point.slice(1).reduce((sum, x, index) => sum + 100 * (x - point[index] ** 2) ** 2 + (1 - point[index]) ** 2, 0);

const optionsOf = (n: number, changed: Partial<SearchOptions> = {}): SearchOptions => ({
  start: new Float64Array(n).fill(0.7),
  step: 0.3,
  bound: Infinity,
  evaluations: 1000,
  random: random(1),
  ...changed,
});

const searches: [string, Search][] = [
  ["CMA-ES", cmaEs],
  ["Nelder–Mead", nelderMead],
];

describe.each(searches)("%s", (_, search) => {
  it.each([
    ["a sphere of 8", 8, sphere, 1200, 1e-6],
    ["an ellipsoid of 5, axes 1 : 100", 5, ellipsoid, 2500, 1e-6],
    ["Rosenbrock's valley of 2", 2, rosenbrock, 1000, 1e-6],
  ])("finds the minimum of %s", async (_name, n, value, evaluations, within) => {
    const result = await search(each(value), optionsOf(n, { evaluations }));
    expect(result.value).toBeLessThan(within);
    expect(result.value).toBe(value(result.point));
  });

  it("asks no more often than it may, and keeps the best", async () => {
    for (const evaluations of [1, 2, 7, 40]) {
      let asked = 0;
      const seen: number[] = [];
      const objective: Objective = (points) => {
        asked += points.length;
        const values = points.map(sphere);
        seen.push(...values);
        return Promise.resolve(values);
      };
      const result = await search(objective, optionsOf(4, { evaluations }));
      expect(asked).toBe(evaluations);
      expect(result.evaluations).toBe(evaluations);
      expect(result.value).toBe(Math.min(...seen));
      expect(result.history).toHaveLength(evaluations);
    }
  });

  it("stays in the box, where the minimum lies on its edge", async () => {
    const outside: number[] = [];
    const away = (point: Float64Array): number => {
      outside.push(...point.filter((x) => Math.abs(x) > 1.5));
      return point.reduce((sum, x) => sum + (x - 3) ** 2, 0);
    };
    const result = await search(each(away), optionsOf(3, { bound: 1.5, evaluations: 600 }));
    expect(outside).toEqual([]);
    expect(result.value).toBeCloseTo(3 * 1.5 ** 2, 2);
  });

  it("is the same again by the same seed, and takes NaN for the worst", async () => {
    const holed = (point: Float64Array): number => (point[0] > 0.8 ? Number.NaN : sphere(point));
    const run = () => search(each(holed), optionsOf(4, { evaluations: 200, random: random(5) }));
    const [first, second] = [await run(), await run()];
    expect(first).toEqual(second);
    expect(first.value).toBeLessThan(1e-2);
  });
});
