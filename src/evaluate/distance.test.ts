import { expect, it } from "vitest";
import { distanceOf, relativeDifferences } from "./distance.ts";

const distance = (ours: number[], theirs: number[]) => distanceOf(Float32Array.from(ours), (index) => theirs[index]);

it("is relative to the recorded tensor's size", () => {
  expect(distance([3, 5], [3, 4])).toEqual({ size: 5, difference: 1 });
  expect(relativeDifferences(new Map([["a", distance([3, 5], [3, 4])]]))).toEqual({ a: 0.2 });
});

it("is relative to what rounding leaves of the whole, where a gradient is zero but for rounding", () => {
  const differences = relativeDifferences(
    new Map([
      ["large", distance([300], [300])],
      ["other", distance([400, 0], [400, 1])],
      ["noise", distance([1e-6], [-1e-6])],
      ["none", distance([0], [0])],
      ["wrong", distance([0.5], [0])],
    ]),
  );
  expect(differences["large"]).toBe(0);
  expect(differences["other"]).toBeCloseTo(1 / 400, 6);
  expect(differences["noise"]).toBeCloseTo(2e-6 / (1e-5 * 500), 6);
  expect(differences["none"]).toBe(0);
  expect(differences["wrong"]).toBeGreaterThan(99);
});

it("is not a number where a gradient is none", () => {
  expect(relativeDifferences(new Map([["a", distance([NaN], [1])]]))["a"]).toBeNaN();
});
