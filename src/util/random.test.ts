import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hash, hashText, permutation, random, restoreRandom } from "./random.ts";

const draws = <T>(count: number, draw: () => T): T[] => Array.from({ length: count }, draw);
const anyState = fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.nat()).map(([a, b, c, d]) => [a, b, c, d | 1] as const);

describe("random", () => {
  it("is xoshiro128**: the reference's words for the state 1, 2, 3, 4", () => {
    const generator = restoreRandom([1, 2, 3, 4]);
    expect(draws(6, () => generator.uniform() * 2 ** 32)).toEqual([11_520, 0, 5_927_040, 70_819_200, 2_031_721_883, 1_637_235_492]);
  });

  it("gives the same values on every machine", () => {
    const generator = random(1, 2);
    expect(generator.state()).toEqual([2_386_536_592, 1_644_538_402, 1_446_509_357, 667_882_453]);
    expect(draws(4, generator.uniform)).toEqual([0.49786383588798344, 0.22827889607287943, 0.501702384557575, 0.21726877940818667]);
    expect(generator.normal()).toBeCloseTo(-0.14654692452395565, 14);
    expect(generator.integer(1000)).toBe(161);
    expect(generator.state()).toEqual([3_608_451_520, 1_008_754_199, 1_388_290_116, 1_540_750_190]);
  });

  it("continues from a stored state", () => {
    fc.assert(
      fc.property(anyState, fc.nat(40), (state, skipped) => {
        const generator = restoreRandom(state);
        draws(skipped, generator.normal);
        const copy = restoreRandom(generator.state());
        expect(draws(5, copy.normal)).toEqual(draws(5, generator.normal));
        expect(copy.state()).toEqual(generator.state());
      }),
    );
  });

  it("gives unrelated values for neighbouring seeds and streams", () => {
    const first = [random(0), random(1), random(0, 0), random(0, 1), random(1, 0), random(0, 0, 0)].map((generator) => generator.uniform());
    expect(new Set(first).size).toBe(first.length);
    const seeds = draws(2000, () => 0).map((_, seed) => random(seed).uniform() - 0.5);
    const neighbours = seeds.slice(1).reduce((sum, value, index) => sum + value * seeds[index], 0) / seeds.length;
    expect(Math.abs(neighbours)).toBeLessThan(4 / 12 / Math.sqrt(seeds.length)); // four deviations of the product of two uniforms
  });

  it("is uniform: 64 cells, χ² below its 99.9 % quantile for 63 degrees", () => {
    const generator = random(7);
    const cells = new Float64Array(64);
    const count = 64_000;
    for (let draw = 0; draw < count; draw++) cells[generator.integer(64)]++;
    const expected = count / 64;
    expect(cells.reduce((sum, cell) => sum + (cell - expected) ** 2 / expected, 0)).toBeLessThan(103.4);
  });

  it("has normal moments within four deviations", () => {
    const generator = random(11);
    const count = 50_000;
    const values = draws(count, generator.normal);
    const moment = (power: number): number => values.reduce((sum, value) => sum + value ** power, 0) / count;
    expect(Math.abs(moment(1))).toBeLessThan(4 * Math.sqrt(1 / count));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / count));
    expect(Math.abs(moment(3))).toBeLessThan(4 * Math.sqrt(15 / count));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / count));
  });

  it("stays finite and within limits for the extreme words", () => {
    fc.assert(
      fc.property(anyState, fc.integer({ min: 1, max: 2 ** 31 }), (state, limit) => {
        const generator = restoreRandom(state);
        const uniform = generator.uniform();
        expect(uniform >= 0 && uniform < 1 && Number.isFinite(generator.normal())).toBe(true);
        const integer = generator.integer(limit);
        expect(Number.isInteger(integer) && integer >= 0 && integer < limit).toBe(true);
      }),
    );
    // The word that follows this state is 0, which is the logarithm's edge.
    expect(restoreRandom([1, 0, 0, 0]).uniform()).toBe(0);
    expect(Math.abs(restoreRandom([1, 0, 0, 0]).normal())).toBe(0);
  });
});

describe("hash", () => {
  it.each([
    [[], 2_654_435_769],
    [[0], 1_540_609_396],
    [[1], 1_098_206_760],
    [[1, 2], 15_986_866],
    [[2, 1], 1_679_346_353],
    [[0, 0], 130_976_004],
    [[2 ** 40], 3_856_897_944],
    [[-1], 165_782_706],
  ])("%j", (parts, word) => {
    expect(hash(...parts)).toBe(word);
  });

  it("keeps the high half of large integers and tells texts apart", () => {
    expect(hash(2 ** 32)).not.toBe(hash(0));
    expect(hashText("lowrank")).toBe(2_096_383_685);
    expect(new Set(["", "a", "b", "ab", "ba", "a\u{1F600}"].map(hashText)).size).toBe(6);
  });
});

describe("permutation", () => {
  it("is pinned for a seed", () => {
    expect([...permutation(10, random(3))]).toEqual([7, 5, 9, 8, 3, 6, 0, 2, 4, 1]);
  });

  it("holds every number once", () => {
    fc.assert(
      fc.property(fc.nat(300), fc.nat(), (count, seed) => {
        expect(permutation(count, random(seed)).sort()).toEqual(Uint32Array.from({ length: count }, (_, index) => index));
      }),
    );
  });

  it("gives each of the 24 orders of four equally often: χ² below its 99.9 % quantile for 23 degrees", () => {
    const generator = random(5);
    const seen = new Map<string, number>();
    for (let draw = 0; draw < 24_000; draw++) {
      const order = permutation(4, generator).join();
      seen.set(order, (seen.get(order) ?? 0) + 1);
    }
    expect(seen.size).toBe(24);
    expect([...seen.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)).toBeLessThan(49.7);
  });
});
