import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../../util/index.ts";
import { departure, difference, randomRows } from "./algebra.fixture.ts";
import { qr } from "./qr.ts";
import { combine, turned } from "./vectors.ts";

describe("qr", () => {
  const size = fc.integer({ min: 1, max: 20 });

  it("gives orthonormal columns, a triangle, and the matrix as their product, also where columns depend on others", () => {
    fc.assert(
      fc.property(size, size, size, fc.nat(1e6), (rows, columns, rank, seed) => {
        const given = randomRows(columns, rows, rank, random(seed)); // each row here is a column of the matrix
        const { Q, R } = qr(given);
        expect(Q).toHaveLength(Math.min(rows, columns));
        expect(departure(Q)).toBeLessThan(1e-13);
        expect(difference(combine(turned(R), Q), given)).toBeLessThan(1e-12);
        R.forEach((row, index) => expect([...row.subarray(0, index)].every((value) => value === 0)).toBe(true));
      }),
      { seed: 1 },
    );
  });

  // The figures of torch.linalg.qr.
  it("has LAPACK's signs", () => {
    const { Q, R } = qr(
      turned(
        [
          [3, -1, 2],
          [4, 0.5, -2],
          [0, 2, 1],
          [-1, 1, 0.25],
        ].map((row) => Float64Array.from(row)),
      ),
    );
    const theirs = [
      [-5.099019513592785, 0.3922322702763683, 0.4412613040609137],
      [0, -2.4690390531852358, 0.3738608030059658],
      [0, 0, -2.954321675362078],
    ];
    expect(
      difference(
        R,
        theirs.map((row) => Float64Array.from(row)),
      ),
    ).toBeLessThan(1e-14);
    expect(Q[1][0]).toBeCloseTo(0.3115506691716385, 14);
  });

  it("leaves a column alone that ends in zeros already", () => {
    const { Q, R } = qr([Float64Array.of(2, 0), Float64Array.of(1, 3)]);
    expect([Q, R]).toEqual([
      [Float64Array.of(1, 0), Float64Array.of(0, 1)],
      [Float64Array.of(2, 1), Float64Array.of(0, 3)],
    ]);
  });
});
