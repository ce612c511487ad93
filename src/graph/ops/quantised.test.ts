/** @file The gradients of products with rounded weights, which differences cannot see through the rounding. */
import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../../test/evaluate.ts";
import { normal } from "../../../test/op-cases.ts";
import { f32, type HostTensor } from "../../util/index.ts";
import { constant, input, int8Matmul, matmul, pullback, type Tensor } from "../index.ts";

const [M, K, N] = [6, 16, 8];

/** Integers (rows, columns) with a scale for each column. */
const rounded = (stream: number, shape: readonly [number, number]): { integers: HostTensor; scales: HostTensor; values: HostTensor } => {
  const [rows, columns] = shape;
  const data = Int8Array.from(normal(shape, stream).data as Float32Array, (value) => Math.max(-127, Math.min(127, Math.round(40 * value))));
  const scales = Float32Array.from({ length: columns }, (_, column) => 0.01 * (column + 1));
  const values = Float32Array.from(data, (value, index) => value * scales[index % columns]);
  return { integers: { dtype: "i8", shape: [rows, columns], data }, scales: f32(scales), values: f32(values, [rows, columns]) };
};

const relative = (a: readonly number[], b: readonly number[]): number =>
  Math.sqrt(a.reduce((sum, value, index) => sum + (value - b[index]) ** 2, 0) / b.reduce((sum, value) => sum + value ** 2, 0));

describe("int8Matmul", () => {
  const forward = rounded(1, [K, N]);
  const back = rounded(2, [N, K]);
  const weight = {
    weights: constant(forward.integers),
    scales: constant(forward.scales),
    back: { weights: constant(back.integers), scales: constant(back.scales) },
  };
  const [x, dy] = [input("x", [M, K]), input("dy", [M, N])];
  const feeds = { x: normal([M, K]), dy: normal([M, N]) };
  const figures = async (outputs: Record<string, Tensor>) => {
    const values = await evaluate(outputs, feeds);
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, numbersOf(value)]));
  };

  it("is the product with the weight for the way there, its gradient that with the weight for the way back, within what 8 bits leave", async () => {
    const y = int8Matmul(x, weight);
    const [dx] = pullback(y, dy, [x]);
    const ours = await figures({ y, dx });
    const exact = await figures({ y: matmul(x, constant(forward.values)), dx: matmul(dy, constant(back.values)) });
    expect(relative(ours["y"], exact["y"])).toBeLessThan(0.01);
    expect(relative(ours["dx"], exact["dx"])).toBeLessThan(0.01);
    expect(relative(ours["y"], exact["y"])).toBeGreaterThan(1e-4);
  });

  it("has no gradient without a weight for the way back", () => {
    const y = int8Matmul(x, { weights: weight.weights, scales: weight.scales });
    expect(() => pullback(y, dy, [x])).toThrow("a weight without its form for the way back has no gradient");
  });

  it("gives its weights no gradient", () => {
    expect(weight.weights.op.grad(int8Matmul(x, weight), dy)).toEqual([]);
    const contributions = int8Matmul(x, weight).op.grad(int8Matmul(x, weight), dy);
    expect(contributions.slice(1)).toEqual([]);
  });
});
