import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { countOf } from "../../test/graph-facts.ts";
import { gradients, input, log, matmul, multiply, pick, program, reshape, softmax, gather, total, type Tensor } from "../graph/index.ts";
import { f32, i32, random, type HostTensor } from "../util/index.ts";
import { logProbs } from "./log-probs.ts";
import { crossEntropy, linearCrossEntropy } from "./loss.ts";

interface Sizes {
  readonly N: number;
  readonly D: number;
  readonly V: number;
  readonly L: number;
  readonly chunk: number;
}

/** log p of labels, and the gradients of Σ w·(log p)², which weighs each label by what the forward pass gave. */
const outputsOf = (each: (hidden: Tensor, W: Tensor) => Tensor, { N, D, V, L }: Sizes, trained: boolean): Record<string, Tensor> => {
  const [hidden, W] = [input("hidden", [N, D]), input("W", [V, D])];
  const y = each(hidden, W); // (L, 1)
  const loss = total(multiply(multiply(y, y), reshape(input("weights", [L]), [L, 1])));
  const [dhidden, dW] = gradients(loss, trained ? [hidden, W] : [hidden]);
  return { y, dhidden, ...(dW && { dW }) };
};

const inChunks =
  ({ L, chunk }: Sizes, trained: boolean, differentiable = true) =>
  (hidden: Tensor, W: Tensor): Tensor =>
    logProbs({
      hidden,
      rows: input("rows", [L], "i32"),
      labels: input("labels", [L], "i32"),
      crossEntropy: (h, labels) => {
        const logits = matmul(h, W, { transposeB: true });
        const frozen = { weight: W, back: (y: Tensor) => matmul(y, W) };
        return trained ? crossEntropy(logits, labels) : linearCrossEntropy(h, frozen, labels, logits);
      },
      trainable: new Set(trained ? [W] : []),
      chunk,
      differentiable,
    });

const atOnce =
  ({ L }: Sizes) =>
  (hidden: Tensor, W: Tensor): Tensor => {
    const logits = matmul(gather(hidden, input("rows", [L], "i32")), W, { transposeB: true });
    return log(pick(softmax(logits), input("labels", [L], "i32")));
  };

const feedsOf = ({ N, D, V, L }: Sizes, seed: number): Record<string, HostTensor> => {
  const generator = random(seed);
  const normals = (count: number, shape: readonly number[]): HostTensor =>
    f32(
      Float32Array.from({ length: count }, () => generator.normal()),
      shape,
    );
  return {
    hidden: normals(N * D, [N, D]),
    W: normals(V * D, [V, D]),
    rows: i32(Int32Array.from({ length: L }, () => generator.integer(N))),
    labels: i32(Int32Array.from({ length: L }, () => generator.integer(V))),
    weights: normals(L, [L]),
  };
};

describe("log p of labels in chunks", () => {
  const size = fc.integer({ min: 1, max: 6 });

  it.each([
    ["frozen", false],
    ["trained", true],
  ])("has the values and gradients of the whole, under a head that is %s", async (_, trained) => {
    await fc.assert(
      fc.asyncProperty(fc.record({ N: size, D: size, V: size, L: size, chunk: size }), fc.nat(1e6), async (sizes, seed) => {
        const feeds = feedsOf(sizes, seed);
        const [ours, theirs] = [
          await evaluate(outputsOf(inChunks(sizes, trained), sizes, trained), feeds),
          await evaluate(outputsOf(atOnce(sizes), sizes, trained), feeds),
        ];
        for (const name of Object.keys(theirs)) expect(largestError(numbersOf(ours[name]), numbersOf(theirs[name]))).toBeLessThan(2e-5);
      }),
      { numRuns: 30, seed: 4 },
    );
  });

  it("computes logits once per chunk under a frozen head, twice under a trained one, and no gradient where none is wanted", () => {
    const sizes = { N: 4, D: 3, V: 9, L: 6, chunk: 2 };
    // Frozen: logits and dh of each of three chunks. Trained: logits twice, dh and dW.
    expect(countOf(program(outputsOf(inChunks(sizes, false), sizes, false)), "matmul")).toBe(3 * 2);
    expect(countOf(program(outputsOf(inChunks(sizes, true), sizes, true)), "matmul")).toBe(3 * 4);
    expect(countOf(program({ y: inChunks(sizes, false, false)(input("hidden", [4, 3]), input("W", [9, 3])) }), "matmul")).toBe(3);
  });
});
