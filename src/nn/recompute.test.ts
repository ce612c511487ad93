import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { countOf, usersOf } from "../../test/graph-facts.ts";
import { add, gradients, input, matmul, multiply, program, silu, tanh, total, type Tensor } from "../graph/index.ts";
import { f32, random } from "../util/index.ts";
import { fusedGatedMlp, gatedMlp } from "./mlp.ts";
import { modulesOf, type Modules } from "./modules.ts";
import { recomputed } from "./recompute.ts";

const modulesWith = (trainable: readonly Tensor[]): Modules => modulesOf({ find: () => undefined, trainable });
const values = (seed: number, shape: readonly number[]) => {
  const generator = random(seed);
  return f32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => generator.normal()),
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

describe("the gated block", () => {
  const [N, D, F] = [3, 4, 5];
  const stored: Record<string, Tensor> = {
    "mlp.gate_proj.weight": input("gate", [F, D]),
    "mlp.up_proj.weight": input("up", [F, D]),
    "mlp.down_proj.weight": input("down", [D, F]),
    "fused.gate_up_proj.weight": input("both", [2 * F, D]),
    "fused.down_proj.weight": input("down", [D, F]),
  };
  const x = input("x", [N, D]);
  const feeds = { x: values(1, [N, D]), gate: values(2, [F, D]), up: values(3, [F, D]), down: values(4, [D, F]) };

  const run = async (block: typeof gatedMlp, module: string, given: typeof feeds | Record<string, ReturnType<typeof f32>>) => {
    const used = Object.entries(stored).filter(([name]) => name.startsWith(module));
    const y = block(modulesOf({ find: (name) => stored[name], trainable: used.map(([, tensor]) => tensor) }), module, x, silu);
    const [dx] = gradients(total(multiply(y, y)), [x]);
    const result = await evaluate({ y, dx }, given);
    return { y: numbersOf(result.y), dx: numbersOf(result.dx) };
  };

  it("is down(silu(gate(x)) ∘ up(x))", async () => {
    const { y } = await run(gatedMlp, "mlp", feeds);
    const rows = (tensor: { data: ArrayLike<unknown> }, width: number): number[][] =>
      Array.from({ length: tensor.data.length / width }, (_, row) =>
        Array.from({ length: width }, (__, column) => Number(tensor.data[row * width + column])),
      );
    const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, index) => sum + value * b[index], 0);
    const expected = rows(feeds.x, D).flatMap((row) => {
      const inner = rows(feeds.gate, D).map((direction, f) => {
        const gate = dot(direction, row);
        return (gate / (1 + Math.exp(-gate))) * dot(rows(feeds.up, D)[f], row);
      });
      return rows(feeds.down, F).map((direction) => dot(direction, inner));
    });
    expect(largestError(y, expected)).toBeLessThan(1e-5);
  });

  it("is the same where gate and up are one projection", async () => {
    const { gate, up, ...rest } = feeds;
    const both = f32([...numbersOf(gate), ...numbersOf(up)], [2 * F, D]);
    const [apart, fused] = [await run(gatedMlp, "mlp", feeds), await run(fusedGatedMlp, "fused", { ...rest, both })];
    expect(largestError(fused.y, apart.y)).toBeLessThan(1e-6);
    expect(largestError(fused.dx, apart.dx)).toBeLessThan(1e-5);
  });

  it("computes its activation twice in training and once otherwise", () => {
    const modules = (trainable: readonly Tensor[]): Modules => modulesOf({ find: (name) => stored[name], trainable });
    const down = stored["mlp.down_proj.weight"];
    const y = gatedMlp(modules([down]), "mlp", x, silu);
    expect(countOf(program({ y }), "silu")).toBe(1);
    expect(countOf(program({ d: gradients(total(y), [down])[0] }), "silu")).toBe(1);
    expect(countOf(program({ y, d: gradients(total(y), [down])[0] }), "silu")).toBe(2);
  });
});
