/** @file The element-wise rules on tensors small enough to work out by hand, and what holds for all. */
import { array, assert, float, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { random } from "../../util/index.ts";
import { pruneAtRandom, pruneBySize } from "./prune.ts";
import { mixTensors, rules, type RuleName, type RuleOptions } from "./rules.ts";

const options: RuleOptions = { density: 0.5, signs: "total", seed: 3 };
const tensor = (...values: number[]): Float32Array => Float32Array.from(values);

describe("mixTensors", () => {
  const a = tensor(4, -1, 0.5, 3);
  const b = tensor(-6, -2, 0.25, 1);

  // The figures are PEFT's, from its merge_utils on the same tensors.
  it.each<[RuleName, Partial<RuleOptions>, number[]]>([
    ["linear", {}, [2 * 4 - 6, 2 * -1 - 2, 2 * 0.5 + 0.25, 2 * 3 + 1]],
    ["magnitude_prune", {}, [2 * 4 - 6, -2, 0, 6]],
    ["ties", {}, [-6, -2, 0, 6]],
    ["ties", { signs: "frequency" }, [8, -2, 0, 6]],
    ["ties", { density: 1 }, [-6, -2, 0.625, 3.5]],
    ["dare_linear", { density: 1 }, [2, -4, 1.25, 7]],
    ["dare_ties", { density: 1 }, [-6, -2, 0.625, 3.5]],
  ])("%s %j", (name, changed, expected) => {
    expect([...mixTensors(name, [a, b], [2, 1], { ...options, ...changed })]).toEqual(expected);
  });

  it.each(Object.keys(rules) as RuleName[])("%s gives back a single tensor at full density", (name) => {
    expect([...mixTensors(name, [a], [1], { ...options, density: 1 })]).toEqual([...a]);
  });

  it("draws again the same by the same seed, and otherwise by another", () => {
    const wide = Float32Array.from({ length: 400 }, (_, index) => index + 1);
    const drawn = (seed: number): number[] => [...mixTensors("dare_linear", [wide, wide], [1, 1], { ...options, seed })];
    expect(drawn(1)).toEqual(drawn(1));
    expect(drawn(1)).not.toEqual(drawn(2));
    // The two tensors are drawn apart: some places keep one of them.
    expect(drawn(1).some((value, index) => value === 2 * wide[index])).toBe(true);
  });
});

describe("pruning", () => {
  it("by size keeps exactly the share asked for, and nothing smaller than what it drops", () => {
    assert(
      property(
        array(float({ min: -4, max: 4, noNaN: true }), { minLength: 1, maxLength: 60 }),
        integer({ min: 0, max: 10 }),
        (values, tenths) => {
          const given = Float32Array.from(values.map((value) => Math.round(value) + 5)); // never zero, often equal
          const pruned = pruneBySize(given, tenths / 10, random(0));
          const kept = [...pruned].filter((value) => value !== 0);
          const dropped = [...given].filter((_, index) => pruned[index] === 0);
          expect(kept).toHaveLength(Math.floor((tenths / 10) * given.length));
          expect(Math.max(...dropped, -Infinity)).toBeLessThanOrEqual(Math.min(...kept, Infinity));
        },
      ),
    );
  });

  it("at random keeps the mean", () => {
    const ones = new Float32Array(40_000).fill(1);
    const pruned = pruneAtRandom(ones, 0.3, random(7));
    const mean = pruned.reduce((sum, value) => sum + value, 0) / ones.length;
    expect(mean).toBeCloseTo(1, 1);
    expect(new Set(pruned.map((value) => Math.round(value * 3))).size).toBe(2);
  });
});
