import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../test/evaluate.ts";
import { bestTime, countOf, opNames, repeatedProducts } from "../../test/graph-facts.ts";
import { f32 } from "../util/index.ts";
import {
  add,
  broadcast,
  exp,
  gradients,
  input,
  matmul,
  multiply,
  ops,
  program,
  pullback,
  reshape,
  scalar,
  subtract,
  sum,
  tanh,
  total,
  withGradient,
  checkpoint,
  type Op,
  type Tensor,
} from "./index.ts";

const x = input("x", [2]);
const feed = { x: f32([2, 3]) };
const square = (value: Tensor): Tensor => multiply(value, value);

describe("gradients of compositions", () => {
  // d/dx at x = (2, 3).
  it.each<[string, (x: Tensor) => Tensor, number[]]>([
    ["a chain: (2x)²", (x) => square(multiply(x, scalar(2))), [16, 24]],
    ["one tensor on both sides: x·x·x", (x) => multiply(square(x), x), [12, 27]],
    ["a shared sub-expression: s + s² with s = x²", (x) => add(square(x), square(square(x))), [4 + 32, 6 + 108]],
    ["a diamond: (x + 1)·(x − 1)", (x) => multiply(add(x, scalar(1)), subtract(x, scalar(1))), [4, 6]],
    ["a residual: x + x²", (x) => add(x, square(x)), [5, 7]],
    ["a tensor that cancels: x² − x²", (x) => subtract(square(x), square(x)), [0, 0]],
    ["a stretched sum: x·Σx", (x) => multiply(x, broadcast(sum(x, [0]), [2])), [10, 10]],
  ])("%s", async (_, build, expected) => {
    const [dx] = gradients(total(build(x)), [x]);
    expect(numbersOf((await evaluate({ dx }, feed)).dx)).toEqual(expected);
  });

  it("gives zeros for what the loss does not depend on", async () => {
    const unused = input("unused", [2, 3]);
    const [dx, none] = gradients(total(square(x)), [x, unused]);
    const values = await evaluate({ dx, none }, feed);
    expect(values).toEqual({ dx: f32([4, 6]), none: f32(new Float32Array(6), [2, 3]) });
  });

  it("gives dy for the tensor itself, and the same tensor twice the same gradient", async () => {
    const dy = input("dy", [2]);
    expect(pullback(x, dy, [x, x])).toEqual([dy, dy]);
  });

  it("holds the tensors that it differentiates by independent of each other", async () => {
    const h = square(x);
    const [dx, dh] = gradients(total(multiply(h, x)), [x, h]);
    expect(await evaluate({ dx, dh }, feed)).toEqual({ dx: f32([4, 9]), dh: f32([2, 3]) });
  });

  it("refuses a loss that is no scalar", () => {
    expect(() => gradients(x, [x])).toThrow(/Only a scalar can be differentiated, not \[2\]/);
  });

  it("refuses a rule whose gradient has another shape than its input", () => {
    const wrong = withGradient(x, [x], [], (dy) => [sum(dy, [0])]);
    expect(() => gradients(total(wrong), [x])).toThrow(/rule of with-gradient gives \[1\] for input 1 of shape \[2\]/);
  });

  it("refuses a rule that gives another number of gradients than there are sources", () => {
    const wrong = withGradient(x, [x], [], () => []);
    expect(() => gradients(total(wrong), [x])).toThrow(/gives 0 gradients for 1 sources/);
  });
});

describe("what a gradient costs", () => {
  const w = input("w", [3, 3]);
  const v = input("v", [3, 3]);
  const h = input("h", [2, 3]);
  const dy = input("dy", [2, 3]);

  it("adds a residual inside the product's pass", () => {
    const [dh] = pullback(add(h, matmul(h, w)), dy, [h]);
    expect(opNames(program({ dh }))).toEqual(["input", "input", "matmul"]);
    expect(dh.inputs[2]).toBe(dy);
  });

  it("sums the branches of q, k and v in one chain of products", () => {
    const [q, k, value] = ["q", "k", "v"].map((name) => matmul(h, input(name, [3, 3])));
    const [dh] = pullback(add(multiply(q, k), value), dy, [h]);
    const graph = program({ dh });
    expect(countOf(graph, "matmul")).toBe(2 + 3);
    expect(countOf(graph, "add")).toBe(0);
    expect(repeatedProducts(graph)).toBe(0);
  });

  it("computes each product once where residuals are stacked", () => {
    const layer = (value: Tensor): Tensor => add(value, matmul(tanh(matmul(value, w)), v));
    const [dh, dw, dv] = pullback(layer(layer(layer(h))), dy, [h, w, v]);
    const graph = program({ dh, dw, dv });
    // Per layer: one product forward (the last of the top layer is not needed) … one for each input and each weight backward.
    expect(countOf(graph, "matmul")).toBe(5 + 6 + 6);
    expect(repeatedProducts(graph)).toBe(0);
  });

  const shared: [string, (a: Tensor, b: Tensor) => Tensor][] = [
    [
      "given to two sources",
      (a, b) =>
        withGradient(matmul(add(a, b), w), [a, b], [], (dy) => {
          const both = matmul(dy, w, { transposeB: true });
          return [both, both];
        }),
    ],
    [
      "given to one source and used for another",
      (a, b) =>
        withGradient(matmul(add(a, tanh(b)), w), [a, b], [], (dy, [, source]) => {
          const one = matmul(dy, w, { transposeB: true });
          return [one, multiply(one, subtract(scalar(1), square(tanh(source))))];
        }),
    ],
    [
      "saved in the forward pass",
      (a, b) => {
        const product = matmul(a, w);
        return withGradient(add(product, b), [a, b], [product], (dy, _, [saved]) => [saved, dy]);
      },
    ],
    ["shared inside a checkpoint", (a, b) => checkpoint(matmul(add(a, b), w), [a, b])],
    ["shared deeper inside a checkpoint", (a, b) => checkpoint(matmul(add(a, tanh(matmul(b, v))), w), [a, b])],
  ];
  it.each(shared)("does not fold a product that is %s", (_, build) => {
    const [a, b] = [tanh(h), exp(h)];
    const y = build(a, b);
    for (const sum of [add(add(a, b), y), add(y, add(a, b))]) {
      const [da, db] = pullback(sum, dy, [a, b]);
      expect(repeatedProducts(program({ sum, da, db }))).toBe(0);
    }
  });

  it("leaves a factor of 1 out", () => {
    const [dx] = gradients(total(multiply(x, input("k", [2]))), [x]);
    expect(opNames(program({ dx }))).toEqual(["constant", "reshape", "broadcast", "input", "multiply"]);
  });
});

describe("what a gradient visits", () => {
  // A tanh that counts how often it is asked for its gradient.
  const counted = (of: Tensor): { tensor: Tensor; visits: () => number } => {
    let visits = 0;
    const op: Op = {
      ...(ops.tanh as Op),
      grad: (tensor, dy) => {
        visits++;
        return ops.tanh.grad(tensor as Tensor<undefined>, dy);
      },
    };
    return { tensor: { ...tanh(of), op }, visits: () => visits };
  };

  it("asks each op on the way once, and none on frozen branches, behind a target or beside the loss", () => {
    const frozen = counted(input("frozen", [2]));
    const behind = counted(x);
    const target = exp(behind.tensor);
    const onTheWay = counted(target);
    const beside = counted(target);
    const loss = total(add(multiply(onTheWay.tensor, frozen.tensor), multiply(onTheWay.tensor, reshape(target, [2]))));
    gradients(loss, [target]);
    expect([onTheWay, frozen, behind, beside].map(({ visits }) => visits())).toEqual([1, 0, 0, 0]);
    pullback(onTheWay.tensor, input("dy", [2]), [input("elsewhere", [2])]);
    expect(onTheWay.visits()).toBe(1);
  });

  it("differentiates a chain of 1,000 residual products in less than 60 ms", () => {
    let y = input("h", [2, 2]);
    const w = input("w", [2, 2]);
    for (let depth = 0; depth < 1000; depth++) y = add(y, matmul(y, w));
    const differentiate = () => pullback(y, input("dy", [2, 2]), [w])[0];
    expect(bestTime(differentiate)).toBeLessThan(60);
    // Each product but the last forward, each dw, and each dy but the first.
    expect(countOf(program({ dw: differentiate() }), "matmul")).toBe(999 + 1000 + 999);
  });
});
