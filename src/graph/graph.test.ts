import { afterEach, describe, expect, it } from "vitest";
import { bestTime, opNames } from "../../test/graph-facts.ts";
import { normal, storedWeight } from "../../test/op-cases.ts";
import type { LowrankError } from "../util/index.ts";
import {
  add,
  exp,
  gather,
  input,
  matmul,
  multiply,
  print,
  program,
  pullback,
  scalar,
  softmax,
  tanh,
  verify,
  withGradient,
  type Graph,
  type Tensor,
} from "./index.ts";
import { topological } from "./walk.ts";

describe("topological", () => {
  const x = input("x", [2]);

  it("puts inputs before users, each tensor once, in the order of the inputs", () => {
    const [a, b] = [exp(x), tanh(x)];
    const y = multiply(add(a, b), add(b, a));
    expect(topological([y])).toEqual([x, a, b, y.inputs[0], y.inputs[1], y]);
    expect(topological([b, y, b])).toEqual([x, b, a, y.inputs[0], y.inputs[1], y]);
  });

  it("does not go behind the tensors where it stops", () => {
    const a = exp(x);
    expect(topological([tanh(a)], new Set([a]))).toEqual([a, expect.objectContaining({ inputs: [a] })]);
  });

  it("walks 10,000 tensors in less than 50 ms, however deep or wide", () => {
    const chain = (depth: number): Tensor => (depth === 0 ? x : tanh(x));
    let deep = chain(0);
    for (let depth = 1; depth < 10_000; depth++) deep = depth % 2 === 0 ? add(deep, deep) : exp(deep);
    let wide = x;
    for (let index = 0; index < 5_000; index++) wide = add(wide, exp(x));
    expect(topological([deep])).toHaveLength(10_000);
    expect(bestTime(() => topological([deep]))).toBeLessThan(50);
    expect(bestTime(() => topological([wide]))).toBeLessThan(50);
  });
});

describe("program", () => {
  const x = input("x", [2, 3]);

  it("holds what the outputs need and nothing else", () => {
    const w = input("w", [3, 3]);
    const y = tanh(matmul(x, w));
    // The gradients of both are made; only one is wanted.
    const [dx] = pullback(y, input("dy", [2, 3]), [x, w]);
    const graph = program({ dx });
    expect([...graph.inputs.keys()]).toEqual(["dy", "x", "w"]);
    // dx = (dy∘(1 − y²))·Wᵀ
    expect(opNames(graph).join(" ")).toBe("input constant input input matmul tanh multiply subtract multiply matmul");
  });

  it("refuses two inputs of one name", () => {
    expect(() => program({ y: add(input("x", [2]), input("x", [2])) })).toThrow(/Two inputs are called "x".*once/);
  });

  it("refuses an output that is called like an input", () => {
    expect(() => program({ x: exp(x) })).toThrow(/input and an output are both called "x"/);
  });
});

describe("print", () => {
  it("shows leaves by name, operands by number, and what is returned", () => {
    const h = input("h", [2, 3]);
    const ids = input("ids", [2], "i32");
    const table = storedWeight(normal([4, 3]));
    const scores = matmul(add(h, gather(table, ids)), table, { transposeB: true });
    const saved = exp(h);
    const loss = withGradient(softmax(multiply(scores, scalar(2))), [h], [saved], (dy) => [dy]);
    expect(print(program({ loss, h2: h }))).toBe(
      [
        '%0 = input("h") f32 [2, 3]',
        '%1 = weight("stored") f32 [4, 3]',
        '%2 = input("ids") i32 [2]',
        "%3 = gather(%1, %2) f32 [2, 3]",
        "%4 = add(%0, %3) f32 [2, 3]",
        "%5 = matmul(%4, %1) f32 [2, 4]",
        "%6 = constant() f32 []",
        "%7 = multiply(%5, %6) f32 [2, 4]",
        "%8 = softmax(%7) f32 [2, 4]",
        "%9 = with-gradient(%8) f32 [2, 4]",
        "return loss = %9",
        "return h2 = %0",
      ].join("\n"),
    );
  });
});

describe("verify", () => {
  const x = input("x", [2]);
  const y = add(x, exp(x));
  const good = program({ y });
  const other: Tensor = { ...y, shape: [3] };
  const z = input("z", [2], "i32");

  it("accepts what program makes", () => {
    expect(() => verify(good)).not.toThrow();
  });

  it.each<[string, Partial<Graph>, RegExp]>([
    [
      "a shape that is not the rule's",
      { order: [x, y.inputs[1], other], outputs: { y: other } },
      /rule says f32 \[2\]: add\(f32 \[2\], f32 \[2\]\) → f32 \[3\]/,
    ],
    ["a dtype that is not the rule's", { order: [{ ...x, dtype: "i32" }] }, /rule says f32 \[2\]: input\(\) → i32 \[2\]/],
    ["a size of 0", { order: [{ ...x, shape: [0] }] }, /size is not a positive integer: input\(\) → f32 \[0\]/],
    ["an op before its input", { order: [y, x, y.inputs[1]] }, /op comes before its input: add/],
    ["an input that is left out", { order: [x, y] }, /op comes before its input: add/],
    ["an output that is left out", { order: [x] }, /output "y" is not in the program/],
    ["inputs that the rule refuses", { order: [z, { ...y.inputs[1], inputs: [z] }] }, /rule refuses its inputs: exp\(i32 \[2\]\)/],
  ])("refuses %s", (_, change, message) => {
    const call = (): void => verify({ ...good, ...change });
    expect(call).toThrow(message);
    expect(call).toThrow(expect.objectContaining({ name: "LowrankError", code: "graph-invalid" }) as LowrankError);
  });

  describe("under DEBUG", () => {
    const before = process.env["DEBUG"];
    afterEach(() => {
      if (before === undefined) delete process.env["DEBUG"];
      else process.env["DEBUG"] = before;
    });

    it("runs for every program", () => {
      delete process.env["DEBUG"];
      expect(() => program({ other })).not.toThrow();
      process.env["DEBUG"] = "1";
      expect(() => program({ other })).toThrow(/rule says/);
    });
  });
});
