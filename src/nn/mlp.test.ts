import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf, type Hosts } from "../../test/evaluate.ts";
import { countOf } from "../../test/graph-facts.ts";
import { gradients, input, multiply, program, silu, total, type Tensor } from "../graph/index.ts";
import { f32, random, sizeOf, type HostTensor } from "../util/index.ts";
import { fusedGatedMlp, gatedMlp } from "./mlp.ts";
import { modulesOf, type Modules } from "./modules.ts";

const values = (seed: number, shape: readonly number[]): HostTensor => {
  const generator = random(seed);
  return f32(
    Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()),
    shape,
  );
};

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

  const run = async (block: typeof gatedMlp, module: string, given: Hosts) => {
    const used = Object.entries(stored).filter(([name]) => name.startsWith(module));
    const y = block(modulesOf({ find: (name) => stored[name], trainable: used.map(([, tensor]) => tensor) }), module, x, silu);
    const [dx] = gradients(total(multiply(y, y)), [x]);
    const result = await evaluate({ y, dx }, given);
    return { y: numbersOf(result.y), dx: numbersOf(result.dx) };
  };

  it("is down(silu(gate(x)) ∘ up(x))", async () => {
    const { y } = await run(gatedMlp, "mlp", feeds);
    const rows = (tensor: HostTensor, width: number): number[][] =>
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
