/** @file The levels against the paper's definition, and rounding against a search of all levels. */
import { array, assert, float, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { levelAt, nf4BlockSize, nf4Levels, packNf4, unpackNf4 } from "./nf4.ts";

/** Φ(x) for x in 0 … 2 by Simpson's rule. */
const normalShare = (x: number): number => {
  const steps = 200;
  const density = (t: number): number => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let index = 1; index < steps; index++) sum += density((index * x) / steps) * (index % 2 === 0 ? 2 : 4);
  return 0.5 + (sum * x) / (3 * steps);
};

describe("4-bit NormalFloat", () => {
  it("has levels at equal shares of the normal distribution, eight above zero and seven below", () => {
    const offset = (1 - 1 / (2 * 15) + 1 - 1 / (2 * 16)) / 2; // 0.9677083
    let [low, high] = [0, 3];
    while (high - low > 1e-12) [low, high] = normalShare((low + high) / 2) < offset ? [(low + high) / 2, high] : [low, (low + high) / 2];
    const shares = (count: number): number[] => Array.from({ length: count }, (_, index) => offset + ((0.5 - offset) * index) / count);
    shares(8).forEach((share, index) => expect(normalShare(nf4Levels[15 - index] * low)).toBeCloseTo(share, 6));
    shares(7).forEach((share, index) => expect(normalShare(-nf4Levels[index] * low)).toBeCloseTo(share, 6));
    expect(nf4Levels[7]).toBe(0);
  });

  it("rounds each value to the nearest level of its block, and what is rounded to itself", () => {
    assert(
      property(array(float({ noNaN: true, min: -100, max: 100 }), { minLength: 1, maxLength: 150 }), (given) => {
        const values = Float32Array.from(given);
        const { packed, absmax } = packNf4(values);
        const rounded = unpackNf4({ packed, absmax }, values.length);
        values.forEach((value, index) => {
          const block = values.slice(Math.floor(index / nf4BlockSize) * nf4BlockSize).slice(0, nf4BlockSize);
          const scale = Math.max(...block.map(Math.abs));
          const best = Math.min(...nf4Levels.map((level) => Math.abs(level * scale - value)));
          expect(Math.abs(rounded[index] - value)).toBeLessThanOrEqual(best + 1e-6 * scale);
        });
        expect(packNf4(rounded)).toEqual({ packed, absmax });
      }),
    );
  });

  it("has the first of two values in the upper half of a byte", () => {
    const { packed } = packNf4(Float32Array.of(1, -1, 0.5));
    expect([...packed]).toEqual([0xf0, 0xc0]);
    expect([0, 1, 2].map((index) => levelAt(packed, index))).toEqual([15, 0, 12]);
  });
});
