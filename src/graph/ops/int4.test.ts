/** @file Products with weights in 4 bits: their value against the weight in float32, and their gradient, which is that of the very same weight. */
import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../../test/evaluate.ts";
import { int4Weight, normal } from "../../../test/op-cases.ts";
import { constant, input, int4Matmul, int4Values, matmul, pullback } from "../index.ts";

const [M, K, N] = [6, 40, 8];

const relative = (a: readonly number[], b: readonly number[]): number =>
  Math.sqrt(a.reduce((sum, value, index) => sum + (value - b[index]) ** 2, 0) / b.reduce((sum, value) => sum + value ** 2, 0));

describe("int4Matmul", () => {
  const weight = int4Weight(K, N);
  const [x, dy] = [input("x", [M, K]), input("dy", [M, N])];
  const feeds = { x: normal([M, K]), dy: normal([M, N]) };

  it("is the product with the weight in float32 within what 8 bits of x leave, and its gradient is that product's own", async () => {
    const y = int4Matmul(x, weight);
    const values = int4Values(weight, K);
    const exact = matmul(x, values, { transposeB: true });
    const found = await evaluate({ y, exact, dx: pullback(y, dy, [x])[0], dExact: pullback(exact, dy, [x])[0] }, feeds);
    const [a, b] = [numbersOf(found["y"]), numbersOf(found["exact"])];
    expect(relative(a, b)).toBeLessThan(0.01);
    expect(relative(a, b)).toBeGreaterThan(1e-4);
    expect(relative(numbersOf(found["dx"]), numbersOf(found["dExact"]))).toBeLessThan(1e-6);
  });

  it("gives its weights no gradient", () => {
    const y = int4Matmul(x, weight);
    expect(y.op.grad(y, dy)).toHaveLength(1);
    expect(int4Values(weight, 64).op.grad(int4Values(weight, 64), constant(normal([N, 64])))).toEqual([]);
  });
});
