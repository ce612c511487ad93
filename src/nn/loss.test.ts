import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { gradients, input, matmul, program, total, type Tensor } from "../graph/index.ts";
import { countOf } from "../../test/graph-facts.ts";
import { f32, i32, random, type HostTensor } from "../util/index.ts";
import { chunkedLoss, crossEntropy, linearCrossEntropy } from "./loss.ts";
import type { FrozenLinear } from "./modules.ts";

const normals = (seed: number, count: number): number[] => {
  const generator = random(seed);
  return Array.from({ length: count }, () => generator.normal());
};

const frozen = (weight: Tensor): FrozenLinear => ({ weight, back: (y) => matmul(y, weight) });

const rowsOf = (values: readonly number[], width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));

/** −log p of one row's label, and p − onehot, in float64. */
const defined = (logits: readonly number[], label: number): { value: number; gradient: number[] } => {
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return {
    value: largest + Math.log(sum) - logits[label],
    gradient: logits.map((logit, index) => Math.exp(logit - largest) / sum - Number(index === label)),
  };
};

describe("cross-entropy", () => {
  it.each([
    { about: "equal logits", logits: [3, 3, 3, 3], label: 2, value: Math.log(4) },
    { about: "the certain label", logits: [80, 0, 0, 0], label: 0, value: 0 },
    { about: "the impossible label", logits: [80, 0, 0, 0], label: 3, value: 80 },
    { about: "an impossible label whose p is 0 in float32", logits: [-2e4, 1e4, 0, 1e4], label: 0, value: 3e4 + Math.log(2) },
    { about: "logits below any exponential", logits: [-1e5, -1e5, -2e5, -1e5], label: 1, value: Math.log(3) },
    { about: "one entry", logits: [7], label: 0, value: 0 },
  ])("of $about is $value", async ({ logits, label, value }) => {
    const x = input("x", [1, logits.length]);
    const y = crossEntropy(x, input("labels", [1], "i32"));
    const [dx] = gradients(total(y), [x]);
    const result = await evaluate({ y, dx }, { x: f32(logits, [1, logits.length]), labels: i32([label]) });
    expect(numbersOf(result.y)[0] / Math.max(1, value)).toBeCloseTo(value / Math.max(1, value), 6);
    expect(largestError(numbersOf(result.dx), defined(logits, label).gradient)).toBeLessThan(1e-6);
  });

  it("of many rows is the definition's, row by row, with the gradient scaled by what arrives", async () => {
    const [C, V] = [5, 7];
    const logits = normals(1, C * V);
    const labels = [6, 0, 3, 3, 5];
    const x = input("x", [C, V]);
    const y = crossEntropy(x, input("labels", [C], "i32"));
    const [dx] = gradients(total(matmul(input("weights", [1, C]), y)), [x]);
    const weights = [1, 0, -2, 0.5, 3];
    const result = await evaluate({ y, dx }, { x: f32(logits, [C, V]), labels: i32(labels), weights: f32(weights, [1, C]) });
    const expected = rowsOf(logits, V).map((row, index) => defined(row, labels[index]));
    expect(result.y.shape).toEqual([C, 1]);
    expect(
      largestError(
        numbersOf(result.y),
        expected.map(({ value }) => value),
      ),
    ).toBeLessThan(1e-6);
    const gradient = expected.flatMap((row, index) => row.gradient.map((slope) => slope * weights[index]));
    expect(largestError(numbersOf(result.dx), gradient)).toBeLessThan(1e-6);
  });

  it("under a frozen head equals the one of its logits, and makes no matrix of tokens × vocabulary in its gradient", async () => {
    const [C, D, V] = [3, 4, 9];
    const [h, W, labels] = [input("h", [C, D]), input("W", [V, D]), input("labels", [C], "i32")];
    const feeds = { h: f32(normals(2, C * D), [C, D]), W: f32(normals(3, V * D), [V, D]), labels: i32([8, 0, 4]) };
    const withGradient = (y: Tensor): Record<string, Tensor> => ({ y, dh: gradients(total(y), [h])[0] });
    const linear = withGradient(linearCrossEntropy(h, frozen(W), labels, matmul(h, W, { transposeB: true })));
    const plain = withGradient(crossEntropy(matmul(h, W, { transposeB: true }), labels));
    const [ours, theirs] = [await evaluate(linear, feeds), await evaluate(plain, feeds)];
    for (const name of ["y", "dh"]) expect(largestError(numbersOf(ours[name]), numbersOf(theirs[name]))).toBeLessThan(1e-6);
    expect([countOf(program(linear), "place"), countOf(program(plain), "place")]).toEqual([0, 1]);
  });
});

interface Sizes {
  readonly N: number;
  readonly D: number;
  readonly V: number;
  readonly L: number;
  readonly chunk: number;
  readonly seed: number;
}

/** The loss and its gradients for hidden states and head, with the head frozen or trained, in chunks. */
const chunked = async (
  { N, D, V, L, chunk, seed }: Sizes,
  trained: boolean,
  differentiable: boolean,
): Promise<Record<string, HostTensor>> => {
  const [hidden, W] = [input("hidden", [N, D]), input("W", [V, D])];
  const loss = chunkedLoss({
    hidden,
    rows: input("rows", [L], "i32"),
    labels: input("labels", [L], "i32"),
    weights: input("weights", [L]),
    crossEntropy: (h, labels) => {
      const logits = matmul(h, W, { transposeB: true });
      return trained ? crossEntropy(logits, labels) : linearCrossEntropy(h, frozen(W), labels, logits);
    },
    trainable: new Set(trained ? [W] : []),
    chunk,
    differentiable,
  });
  const [dhidden, dW] = gradients(loss, [hidden, ...(trained ? [W] : [])]);
  const generator = random(seed, 9);
  const feeds = {
    hidden: f32(normals(seed, N * D), [N, D]),
    W: f32(normals(seed + 1, V * D), [V, D]),
    // A position may be chosen twice, another one never; some labels are padding.
    rows: i32(Int32Array.from({ length: L }, () => generator.integer(N))),
    labels: i32(Int32Array.from({ length: L }, () => generator.integer(V))),
    weights: f32(Float32Array.from({ length: L }, (_, index) => (index % 3 === 2 ? 0 : 1 + generator.uniform()))),
  };
  return await evaluate({ loss, dhidden, ...(dW && { dW }) }, feeds);
};

/** The same, from the definition, in float64. */
const summed = ({ N, D, V, L, seed }: Sizes): { loss: number; dhidden: number[]; dW: number[] } => {
  const hidden = rowsOf(normals(seed, N * D).map(Math.fround), D);
  const W = rowsOf(normals(seed + 1, V * D).map(Math.fround), D);
  const generator = random(seed, 9);
  const draw = (limit: number): number[] => Array.from({ length: L }, () => generator.integer(limit));
  const [rows, labels] = [draw(N), draw(V)];
  const weights = rows.map((_, index) => (index % 3 === 2 ? 0 : Math.fround(1 + generator.uniform())));
  const dhidden = hidden.map((row) => row.map(() => 0));
  const dW = W.map((row) => row.map(() => 0));
  let loss = 0;
  rows.forEach((row, index) => {
    const logits = W.map((direction) => direction.reduce((total, value, d) => total + value * hidden[row][d], 0));
    const { value, gradient } = defined(logits, labels[index]);
    loss += weights[index] * value;
    gradient.forEach((slope, v) => {
      for (let d = 0; d < D; d++) {
        dhidden[row][d] += weights[index] * slope * W[v][d];
        dW[v][d] += weights[index] * slope * hidden[row][d];
      }
    });
  });
  return { loss, dhidden: dhidden.flat(), dW: dW.flat() };
};

describe("the loss in chunks", () => {
  const sizes = { N: 7, D: 3, V: 5, L: 10, seed: 4 };
  const expected = summed({ ...sizes, chunk: 1 });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 64])("of %i labels equals the whole one, with its gradients", async (chunk) => {
    for (const trained of [false, true])
      for (const differentiable of [false, true]) {
        const { loss, dhidden, dW } = await chunked({ ...sizes, chunk }, trained, differentiable);
        expect(numbersOf(loss)[0] / expected.loss).toBeCloseTo(1, 5);
        expect(largestError(numbersOf(dhidden), expected.dhidden)).toBeLessThan(1e-5);
        if (trained) expect(largestError(numbersOf(dW), expected.dW)).toBeLessThan(1e-5);
      }
  });

  it("is right for any sizes", async () => {
    const size = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max });
    await fc.assert(
      fc.asyncProperty(
        fc.record({ N: size(6), D: size(5), V: size(6), L: size(8), chunk: size(9), seed: fc.nat(1e6) }),
        fc.boolean(),
        fc.boolean(),
        async (given, trained, differentiable) => {
          const { loss, dhidden, dW } = await chunked(given, trained, differentiable);
          const whole = summed(given);
          expect(Math.abs(numbersOf(loss)[0] - whole.loss)).toBeLessThan(1e-4 * (1 + whole.loss));
          expect(largestError(numbersOf(dhidden), whole.dhidden)).toBeLessThan(1e-4);
          if (trained) expect(largestError(numbersOf(dW), whole.dW)).toBeLessThan(1e-4);
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });

  it("gives padding no gradient", async () => {
    const { dhidden } = await chunked({ N: 3, D: 2, V: 4, L: 3, chunk: 2, seed: 11 }, false, true);
    const [rows, labelled] = [random(11, 9), new Set<number>()];
    for (let index = 0; index < 3; index++) {
      const row = rows.integer(3);
      if (index % 3 !== 2) labelled.add(row);
    }
    const untouched = [0, 1, 2].filter((row) => !labelled.has(row));
    expect(untouched.length).toBeGreaterThan(0);
    for (const row of untouched) expect(rowsOf(numbersOf(dhidden), 2)[row]).toEqual([0, 0]);
  });
});
