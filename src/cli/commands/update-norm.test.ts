import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frobeniusNorm, productNorm, type Matrix } from "./update-norm.ts";

const product = (A: Matrix, B: Matrix): Matrix => {
  const [rows, rank] = A.shape;
  const columns = B.shape[1];
  const data = Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return Array.from({ length: rank }, (_, k) => A.data[row * rank + k] * B.data[k * columns + column]).reduce((a, b) => a + b, 0);
  });
  return { shape: [rows, columns], data };
};

const matrix = (rows: number, columns: number): fc.Arbitrary<Matrix> =>
  fc
    .array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: rows * columns, maxLength: rows * columns })
    .map((data) => ({ shape: [rows, columns], data }));

const size = fc.integer({ min: 1, max: 6 });
const factors = fc.tuple(size, size, size).chain(([rows, rank, columns]) => fc.tuple(matrix(rows, rank), matrix(rank, columns)));

describe("productNorm", () => {
  it("is the norm of the product", () => {
    fc.assert(
      fc.property(factors, ([A, B]) => {
        expect(productNorm(A, B)).toBeCloseTo(frobeniusNorm(product(A, B)), 5);
      }),
    );
  });

  it("is exact for small integers", () => {
    const A = { shape: [3, 2], data: [1, 2, 3, 4, 5, 6] };
    const B = { shape: [2, 2], data: [1, -1, 2, 0] };
    // A·B = [[5, -1], [11, -3], [17, -5]]
    expect(productNorm(A, B)).toBe(Math.sqrt(25 + 1 + 121 + 9 + 289 + 25));
    expect(frobeniusNorm(A)).toBe(Math.sqrt(91));
  });

  it("is 0, not the root of a negative number, where rounding leaves less than nothing", () => {
    expect(productNorm({ shape: [1, 3], data: [1, 1, 1] }, { shape: [3, 1], data: [0.5, 0.9, -1.4] })).toBe(0);
  });
});
