import { describe, expect, it } from "vitest";
import { clippingOf } from "./clip.ts";

/** The gradient as an optimiser sees it. */
const clipped = (gradient: Float32Array, factor: number): Float32Array => gradient.map((value) => value * factor);

describe("clippingOf", () => {
  // Figures of torch 2.13's clip_grad_norm_.
  it.each([
    [1, [0.5999999046325684, 0.7999998331069946, 0]],
    [5, [2.9999992847442627, 3.9999990463256836, 0]],
    [6, [3, 4, 0]],
    [Infinity, [3, 4, 0]],
  ])("scales (3, 4, 0) to a norm of at most %d", (maxNorm, expected) => {
    const gradient = Float32Array.of(3, 4, 0);
    const { norm, factor } = clippingOf(gradient, maxNorm);
    expect(norm).toBe(5);
    clipped(gradient, factor).forEach((value, index) => expect(Math.abs(value - expected[index])).toBeLessThan(5e-7));
  });

  it.each([
    { maxNorm: 1, divisor: 10, norm: 0.5, expected: [0.3, 0.4] },
    { maxNorm: 0.25, divisor: 10, norm: 0.5, expected: [0.15, 0.2] },
    { maxNorm: Infinity, divisor: 4, norm: 1.25, expected: [0.75, 1] },
    { maxNorm: 1, divisor: 0.5, norm: 10, expected: [0.6, 0.8] },
  ])("divides (3, 4) by $divisor, then scales it to a norm of at most $maxNorm", ({ maxNorm, divisor, norm, expected }) => {
    const gradient = Float32Array.of(3, 4);
    const found = clippingOf(gradient, maxNorm, divisor);
    expect(found.norm).toBe(norm);
    clipped(gradient, found.factor).forEach((value, index) => expect(Math.abs(value - expected[index])).toBeLessThan(1e-6));
  });

  it("adds 1e-6 to the norm before dividing", () => {
    const gradient = Float32Array.of(2e-6);
    const { factor } = clippingOf(gradient, 1e-6);
    expect(gradient[0] * factor).toBeCloseTo(2e-6 / 3, 12);
  });

  it("adds in float64, so that a long gradient of small values keeps its norm", () => {
    expect(clippingOf(new Float32Array(4_000_001).fill(1e-4), Infinity).norm).toBeCloseTo(0.2, 7);
  });

  it.each([NaN, Infinity])("reports a gradient with %d in it", (value) => {
    const gradient = Float32Array.of(3, value, 4);
    expect(clippingOf(gradient, 1).norm).toBe(value);
    expect(clippingOf(gradient, 1, 2).norm).toBe(value);
  });

  it("leaves the gradient alone", () => {
    const gradient = Float32Array.of(3, 4);
    clippingOf(gradient, 1, 2);
    expect([...gradient]).toEqual([3, 4]);
  });
});
