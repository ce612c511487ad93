/** @file The eigendecomposition against its definition, over random symmetric matrices. */
import { assert, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../../util/index.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

const symmetric = (n: number, seed: number): Float64Array[] => {
  const generator = random(seed);
  const rows = Array.from({ length: n }, () => new Float64Array(n));
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) rows[i][j] = rows[j][i] = generator.normal();
  return rows;
};

describe("symmetricEigen", () => {
  it("gives orthonormal vectors that rebuild the matrix, largest value first", () => {
    assert(
      property(integer({ min: 1, max: 24 }), integer({ min: 0, max: 10_000 }), (n, seed) => {
        const matrix = symmetric(n, seed);
        const { values, vectors } = symmetricEigen(matrix);
        const worst = (value: (i: number, j: number) => number): number =>
          Math.max(...matrix.flatMap((_, i) => matrix.map((_row, j) => Math.abs(value(i, j)))));
        expect(worst((i, j) => vectors[i].reduce((sum, x, k) => sum + x * vectors[j][k], 0) - Number(i === j))).toBeLessThan(1e-12);
        expect(worst((i, j) => matrix[i][j] - vectors.reduce((sum, v, k) => sum + values[k] * v[i] * v[j], 0))).toBeLessThan(1e-12);
        expect([...values]).toEqual([...values].sort((a, b) => b - a));
      }),
      { numRuns: 40 },
    );
  });

  it("finds the values of a matrix whose values are known", () => {
    // A path graph's Laplacian of n nodes has 2 − 2·cos(πk/n).
    const n = 6;
    const laplacian = Array.from({ length: n }, (_, i) =>
      Float64Array.from({ length: n }, (_unused, j) => (i === j ? (i === 0 || i === n - 1 ? 1 : 2) : Math.abs(i - j) === 1 ? -1 : 0)),
    );
    const expected = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos((Math.PI * (n - 1 - k)) / n));
    symmetricEigen(laplacian).values.forEach((value, k) => expect(value).toBeCloseTo(expected[k], 12));
  });
});
