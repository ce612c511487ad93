/** @file Rounding to 8 bits against its definition: a scale for each output, at most half a step off, the same values turned round. */
import { assert, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { int8 } from "./int8.ts";
import { matrix } from "./matrix.fixture.ts";

describe("int8", () => {
  it("is at most half a step off, with 127 steps to the largest weight of an output, both ways round", () => {
    assert(
      property(integer({ min: 1, max: 9 }), integer({ min: 1, max: 9 }), integer({ min: 0, max: 999 }), (out, inn, seed) => {
        const W = matrix(out, inn, seed);
        const parts = int8.round(W, out, inn);
        for (let o = 0; o < out; o++)
          for (let i = 0; i < inn; i++) {
            const forward = Number(parts["int8"].data[i * out + o]) * Number(parts["int8.scales"].data[o]);
            const back = Number(parts["int8.back"].data[o * inn + i]) * Number(parts["int8.back.scales"].data[i]);
            expect(Math.abs(forward - W[o * inn + i])).toBeLessThanOrEqual(0.5001 * Number(parts["int8.scales"].data[o]));
            expect(Math.abs(back - W[o * inn + i])).toBeLessThanOrEqual(0.5001 * Number(parts["int8.back.scales"].data[i]));
          }
        int8
          .restore(parts, out, inn)
          .forEach((value, index) =>
            expect(Math.abs(value - W[index])).toBeLessThanOrEqual(0.5001 * Number(parts["int8.scales"].data[Math.floor(index / inn)])),
          );
        const row = W.subarray(0, inn);
        expect(parts["int8.scales"].data[0]).toBeCloseTo(Math.max(...row.map(Math.abs)) / 127, 5);
      }),
    );
  });

  it("says beforehand what parts there will be", () => {
    const parts = int8.round(matrix(3, 5, 1), 3, 5);
    const types = Object.fromEntries(Object.entries(parts).map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
    expect(types).toEqual(int8.shapes(3, 5));
  });

  it("keeps an output of zeros at zero", () => {
    const parts = int8.round(Float32Array.of(0, 0, 1, 2), 2, 2);
    expect([...parts["int8.scales"].data].map(Number)).toEqual([0, Math.fround(2 / 127)]);
    expect([...parts["int8"].data].map(Number)).toEqual([0, 64, 0, 127]);
  });

  it("knows the whole number nearest to the mean of each column of the turned weight", () => {
    const parts = int8.round(Float32Array.of(1, -2, 0.5, -2, 0, -2), 3, 2);
    expect([...parts["int8.back"].data].map(Number)).toEqual([127, -127, 64, -127, 0, -127]);
    expect([...parts["int8.back.means"].data].map(Number)).toEqual([64, -127]);
  });
});
