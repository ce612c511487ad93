import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../../util/index.ts";
import { departure, distance, recompose, withSingularValues } from "./algebra.fixture.ts";
import { matrixOperator } from "./operator.ts";
import type { Svd } from "./svd.ts";
import { trailingSvd } from "./trailing-svd.ts";

const last = ({ U, S, V }: Svd, rank: number): Svd => ({ U: U.slice(-rank), S: S.slice(-rank), V: V.slice(-rank) });

describe("trailingSvd", () => {
  // [rows, columns]
  it.each([
    [30, 20],
    [20, 30],
    [150, 160],
    [160, 150],
  ])("finds the smallest triplets of a matrix of %d × %d", async (rows, columns) => {
    const S = Float64Array.from({ length: Math.min(rows, columns) }, (_, index) => 0.97 ** index);
    const whole = withSingularValues(S, rows, columns, random(1));
    const found = await trailingSvd(matrixOperator(recompose(whole)), { rank: 4, generator: random(2) });
    const wanted = last(whole, 4);
    found.S.forEach((size, index) => expect(size / wanted.S[index]).toBeCloseTo(1, 10));
    expect(distance(found, wanted)).toBeLessThan(1e-9);
    expect(departure([...found.U])).toBeLessThan(1e-10);
  });

  it("takes a matrix that is not of full rank", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 9 }), fc.nat(1e6), async (rank, seed) => {
        const S = Float64Array.from({ length: 10 }, (_, index) => (index < rank ? 1 : 0));
        const found = await trailingSvd(matrixOperator(recompose(withSingularValues(S, 10, 12, random(seed)))), {
          rank: 1,
          generator: random(seed),
        });
        expect(found.S[0]).toBeLessThan(1e-12);
        expect(departure(found.U)).toBeLessThan(1e-10);
      }),
      { seed: 3, numRuns: 30 },
    );
  });
});
