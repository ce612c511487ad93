/** @file Rounding to 4 bits against its definition: a scale for each block of 32, what holds already is kept, and what is left over. */
import { assert, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { int4 } from "./int4.ts";
import { matrix } from "./matrix.fixture.ts";

describe("int4", () => {
  it("is half a step off, a whole one opposite the largest weight of a block, whatever the number of inputs", () => {
    assert(
      property(integer({ min: 1, max: 5 }), integer({ min: 1, max: 70 }), integer({ min: 0, max: 999 }), (out, inn, seed) => {
        const W = matrix(out, inn, seed);
        const parts = int4.round(W, out, inn);
        const scales = parts["int4.scales"].data;
        const blocks = Math.ceil(inn / 32);
        int4.restore(parts, out, inn).forEach((value, index) => {
          const step = Number(scales[Math.floor(index / inn) * blocks + Math.floor((index % inn) / 32)]);
          const isOpposite = W[index] / step > 7;
          expect(Math.abs(value - W[index])).toBeLessThanOrEqual(Math.abs(step) * (isOpposite ? 1.0001 : 0.5001));
        });
      }),
    );
  });

  it("rounds what it has rounded to the same", () => {
    assert(
      property(integer({ min: 1, max: 5 }), integer({ min: 1, max: 70 }), integer({ min: 0, max: 999 }), (out, inn, seed) => {
        const parts = int4.round(matrix(out, inn, seed), out, inn);
        expect(int4.round(int4.restore(parts, out, inn), out, inn)).toEqual(parts);
      }),
    );
  });

  it("loses less than 10 % of normal weights, of which one to 7 steps instead of 8 would lose more", () => {
    const W = matrix(1, 3200, 5);
    const rounded = int4.restore(int4.round(W, 1, 3200), 1, 3200);
    const lost = Math.sqrt(
      W.reduce((sum, value, index) => sum + (value - rounded[index]) ** 2, 0) / W.reduce((sum, value) => sum + value ** 2, 0),
    );
    expect(lost).toBeGreaterThan(0.07);
    expect(lost).toBeLessThan(0.09);
  });

  it("says beforehand what parts there will be", () => {
    const parts = int4.round(matrix(3, 37, 1), 3, 37);
    const types = Object.fromEntries(Object.entries(parts).map(([name, { dtype, shape }]) => [name, { dtype, shape }]));
    expect(types).toEqual(int4.shapes(3, 37));
    expect(types["int4"]).toEqual({ dtype: "u8", shape: [3, 2, 16] });
  });

  it("packs two numbers a byte, the first in the low half, and keeps zeros at zero", () => {
    const parts = int4.round(Float32Array.of(-8, 7, 0, 3, 0, 0, 0, 0), 2, 4);
    expect([...parts["int4"].data].slice(0, 3).map(Number)).toEqual([0xf0, 0xb8, 0x88]);
    expect([...parts["int4.scales"].data].map(Number)).toEqual([1, -0]);
    expect([...int4.restore(parts, 2, 4)].map((value) => value + 0)).toEqual([-8, 7, 0, 3, 0, 0, 0, 0]);
  });

  it.each([0, 5])("does not make a number of a block with a weight that is none, at %d", (place) => {
    const W = matrix(1, 64, 7);
    W[place] = NaN;
    const restored = int4.restore(int4.round(W, 1, 64), 1, 64);
    expect(restored.subarray(0, 32).every(Number.isNaN)).toBe(true);
    expect(restored.subarray(32).some(Number.isNaN)).toBe(false);
  });
});
