import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate, numbersOf, type Hosts } from "../../test/evaluate.ts";
import { directions, expressionOf, steps } from "../../test/expressions.ts";
import { f32 } from "../util/index.ts";
import { print, program, verify, type Graph } from "./index.ts";

const needed = (graph: Graph, feeds: Hosts): Hosts => Object.fromEntries(Object.entries(feeds).filter(([name]) => graph.inputs.has(name)));

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((sum, value, index) => sum + value * b[index], 0);

const moved = (feeds: Hosts, direction: Hosts, step: number): Hosts => ({
  ...feeds,
  ...Object.fromEntries(
    Object.entries(direction).map(([name, { data, shape }]) => {
      const by = data as Float32Array;
      return [
        name,
        f32(
          (feeds[name].data as Float32Array).map((value, index) => value + step * by[index]),
          shape,
        ),
      ];
    }),
  ),
});

describe("random programs", () => {
  it("have the gradients of differences, in any direction", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const { y, gradients, feeds } = expressionOf(list);
        const forward = program({ y });
        const backward = program(gradients);
        const exact = await evaluate(gradients, needed(backward, feeds));
        const weights = numbersOf(feeds["dy"]);
        for (const direction of directions) {
          const at = async (step: number): Promise<number> =>
            dot(numbersOf((await evaluate({ y }, needed(forward, moved(feeds, direction, step)))).y), weights);
          const slope = async (step: number): Promise<number> => ((await at(step)) - (await at(-step))) / (2 * step);
          const expected = (4 * (await slope(0.01)) - (await slope(0.02))) / 3;
          const actual = Object.keys(direction).reduce(
            (sum, name) => sum + dot(numbersOf(exact[`d${name}`]), numbersOf(direction[name])),
            0,
          );
          expect(Math.abs(actual - expected) / (1 + Math.abs(expected)), print(forward)).toBeLessThan(2e-3);
        }
      }),
      { seed: 2, numRuns: 150 },
    );
  });

  it("obey the rules of their ops, with their gradients", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { y, gradients } = expressionOf(list);
        verify(program({ y, ...gradients }));
      }),
      { seed: 3, numRuns: 150 },
    );
  });
});
