import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { countOf, usersOf } from "../../test/graph-facts.ts";
import { add, gradients, input, matmul, multiply, program, tanh, total, type Tensor } from "../graph/index.ts";
import { f32, random, sizeOf, type HostTensor } from "../util/index.ts";
import { modulesOf, type Modules } from "./modules.ts";
import { recomputed } from "./recompute.ts";

const modulesWith = (trainable: readonly Tensor[]): Modules => modulesOf({ find: () => undefined, trainable });
const values = (seed: number, shape: readonly number[]): HostTensor => {
  const generator = random(seed);
  return f32(
    Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()),
    shape,
  );
};

describe("a part that is computed again", () => {
  const size = fc.integer({ min: 1, max: 5 });

  it("has the value and the gradients of the part itself", async () => {
    await fc.assert(
      fc.asyncProperty(size, size, size, fc.nat(1e6), async (N, D, F, seed) => {
        const [x, A, W] = [input("x", [N, D]), input("A", [D, F]), input("W", [F, D])];
        // A is trained, W frozen; A is used inside and outside of the part.
        const part = (h: Tensor): Tensor => add(h, matmul(tanh(matmul(h, A)), W));
        const outputs = (wrap: (h: Tensor) => Tensor): Record<string, Tensor> => {
          const y = matmul(wrap(wrap(x)), A);
          const [dx, dA] = gradients(total(multiply(y, y)), [x, A]);
          return { y, dx, dA };
        };
        const modules = modulesWith([A]);
        const feeds = { x: values(seed, [N, D]), A: values(seed + 1, [D, F]), W: values(seed + 2, [F, D]) };
        const plain = await evaluate(outputs(part), feeds);
        const again = await evaluate(
          outputs((h) => recomputed(modules, [h], () => part(h))),
          feeds,
        );
        for (const name of ["y", "dx", "dA"]) expect(largestError(numbersOf(again[name]), numbersOf(plain[name]))).toBeLessThan(1e-5);
      }),
      { numRuns: 40, seed: 2 },
    );
  });

  it("keeps its sources for the backward pass and nothing that is made inside", () => {
    const [x, A] = [input("x", [2, 3]), input("A", [3, 3])];
    const inner = tanh(matmul(x, A));
    const loss = total(recomputed(modulesWith([A]), [x], () => matmul(inner, A)));
    const graph = program({ loss, dA: gradients(loss, [A])[0] });
    expect(countOf(graph, "tanh")).toBe(2);
    // The forward pass's own inner value is used by the next product and by nothing after it.
    expect(usersOf(graph, inner)).toHaveLength(1);
  });

  it("computes nothing again where only its sources are trained and its gradient needs no inner value", () => {
    const [x, W] = [input("x", [2, 3]), input("W", [3, 3])];
    const loss = total(recomputed(modulesWith([]), [x], () => matmul(matmul(x, W), W)));
    expect(countOf(program({ loss, dx: gradients(loss, [x])[0] }), "matmul")).toBe(4);
  });
});
