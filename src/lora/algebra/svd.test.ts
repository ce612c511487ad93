import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../../util/index.ts";
import { departure, difference, randomRows, recompose, withSingularValues } from "./algebra.fixture.ts";
import { normalVectors } from "./randomised-svd.ts";
import { balancedFactors, productSvd, svd, truncate, type Svd } from "./svd.ts";
import { combine, dot, turned } from "./vectors.ts";

const size = fc.integer({ min: 1, max: 20 });
const seed = fc.nat(1e6);

const isDecomposition = (rows: readonly Float64Array[], { U, S, V }: Svd): void => {
  expect(departure(U)).toBeLessThan(1e-12);
  expect(departure(V)).toBeLessThan(1e-12);
  expect([...S]).toEqual([...S].map(Math.abs).sort((a, b) => b - a));
  expect(difference(recompose({ U, S, V }), rows)).toBeLessThan(1e-12);
};

describe("svd", () => {
  it("gives orthonormal vectors, sizes in order, and the matrix, of any shape and rank", () => {
    fc.assert(
      fc.property(size, size, size, seed, (rows, columns, rank, seed) => {
        const M = randomRows(rows, columns, rank, random(seed));
        const found = svd(M);
        expect(found.S).toHaveLength(Math.min(rows, columns));
        isDecomposition(M, found);
      }),
      { seed: 2 },
    );
  });

  it("finds singular values over ten orders of magnitude", () => {
    const S = Float64Array.from({ length: 12 }, (_, index) => 10 ** -index);
    const found = svd(recompose(withSingularValues(S, 30, 20, random(3)))).S;
    S.forEach((value, index) => expect(Math.abs(found[index] - value)).toBeLessThan(1e-14));
  });

  it("takes zero, and a single number", () => {
    isDecomposition([new Float64Array(3), new Float64Array(3)], svd([new Float64Array(3), new Float64Array(3)]));
    expect(svd([Float64Array.of(-2)]).S).toEqual(Float64Array.of(2));
  });
});

describe("a product of factors", () => {
  it("is decomposed as the matrix is, without the matrix, also at ranks beyond its sizes", () => {
    fc.assert(
      fc.property(size, size, size, seed, (dIn, dOut, r, seed) => {
        const generator = random(seed);
        const [a, b] = [normalVectors(r, dIn, generator), normalVectors(r, dOut, generator)];
        const found = productSvd(a, b);
        expect(found.S).toHaveLength(Math.min(r, dIn, dOut));
        isDecomposition(combine(turned(a), b), found);
      }),
      { seed: 4 },
    );
  });
});

describe("truncation", () => {
  it("leaves an error of just the sizes that it drops, and says what it keeps", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 }), seed, (rank, seed) => {
        const S = Float64Array.from({ length: 10 }, (_, index) => 2 ** -index);
        const whole = withSingularValues(S, 15, 12, random(seed));
        const M = recompose(whole);
        const { svd: best, energy } = truncate(svd(M), rank);
        const left = M.map((row, index) => row.map((value, place) => value - recompose(best)[index][place]));
        const dropped = S.subarray(rank);
        expect(Math.sqrt(left.reduce((sum, row) => sum + dot(row, row), 0))).toBeCloseTo(Math.sqrt(dot(dropped, dropped)), 12);
        expect(energy).toBeCloseTo(1 - dot(dropped, dropped) / dot(S, S), 12);
      }),
      { seed: 5, numRuns: 20 },
    );
  });

  it("of zero keeps everything", () => expect(truncate(svd([new Float64Array(2)]), 1).energy).toBe(1));

  it("splits into factors of equal sizes", () => {
    const whole = withSingularValues(Float64Array.of(4, 1), 5, 3, random(6));
    const { a, b } = balancedFactors(whole);
    expect(difference(combine(turned(a), b), recompose(whole))).toBeLessThan(1e-14);
    expect([a, b].map((vectors) => vectors.map((vector) => dot(vector, vector)))).toEqual([
      [expect.closeTo(4, 12), expect.closeTo(1, 12)],
      [expect.closeTo(4, 12), expect.closeTo(1, 12)],
    ]);
  });
});
