/** @file Probabilities times a weight in 8 bits against float64: how far off each row is, and what of that all rows share. */
import { describe, expect, it } from "vitest";
import { evaluate, numbersOf } from "../../../test/evaluate.ts";
import { constant, input, int8Matmul, type CentredInt8Matrix, type Tensor } from "../../graph/index.ts";
import { f32, random } from "../../util/index.ts";
import { int8 } from "./int8.ts";
import { probabilitiesTimes } from "./probabilities.ts";

const [C, D] = [24, 16];

/** Rows with one probability `peak` and a tail that falls like 1 / rank^power, in an order of each row's own in which the first ids tend to come first. */
const probabilities = (V: number, peak: number, power: number): Float32Array => {
  const generator = random(1);
  return Float32Array.from(
    Array.from({ length: C }, () => {
      const order = Array.from({ length: V }, (_, id) => [Math.log(id + 1) + 2 * generator.normal(), id]).sort(([a], [b]) => a - b);
      const row = new Float64Array(V);
      order.forEach(([, id], rank) => (row[id] = (rank + 1) ** -power));
      const sum = row.reduce((a, b) => a + b);
      row.forEach((value, id) => (row[id] = ((1 - peak) * value) / sum));
      row[generator.integer(V)] += peak;
      return [...row];
    }).flat(),
  );
};

/** A weight (V, D) whose rows have something in common, as embeddings have. */
const embeddings = (V: number): Float32Array => {
  const generator = random(2);
  const common = Array.from({ length: D }, () => generator.normal());
  return Float32Array.from({ length: V * D }, (_, index) => 0.1 * (generator.normal() + 0.7 * common[index % D]));
};

interface Figures {
  /** Σ|error|² over Σ|p·W|², as a root. */
  readonly error: number;
  /** Of the mean of the errors of all rows, over the mean length of p·W. */
  readonly bias: number;
}

const measure = async (
  V: number,
  peak: number,
  power: number,
  times: (p: Tensor, W: Tensor, rounded: CentredInt8Matrix) => Tensor,
): Promise<Figures> => {
  const [p, W] = [probabilities(V, peak, power), embeddings(V)];
  const parts = int8.round(W, V, D);
  const rounded = {
    weights: constant(parts["int8.back"]),
    scales: constant(parts["int8.back.scales"]),
    means: constant(parts["int8.back.means"]),
  };
  const y = times(input("p", [C, V]), constant(f32(W, [V, D])), rounded);
  const found = numbersOf((await evaluate({ y }, { p: f32(p, [C, V]) }))["y"]);
  let [squares, all] = [0, 0];
  const mean = new Float64Array(D);
  for (let c = 0; c < C; c++)
    for (let d = 0; d < D; d++) {
      let exact = 0;
      for (let v = 0; v < V; v++) exact += p[c * V + v] * W[v * D + d];
      squares += (found[c * D + d] - exact) ** 2;
      all += exact ** 2;
      mean[d] += (found[c * D + d] - exact) / C;
    }
  return { error: Math.sqrt(squares / all), bias: Math.hypot(...mean) / Math.sqrt(all / C) };
};

describe("probabilities times a weight in 8 bits", () => {
  it.each<[V: number, peak: number, power: number, ours: Figures, plain: Figures]>([
    [4096, 0.9, 1, { error: 1e-4, bias: 5e-5 }, { error: 0.04, bias: 0.04 }],
    [4096, 0.9, 1.3, { error: 1e-4, bias: 5e-5 }, { error: 0.02, bias: 0.02 }],
    [4096, 0.3, 1.1, { error: 1e-3, bias: 4e-4 }, { error: 0.2, bias: 0.2 }],
    [1000, 0, 1, { error: 1e-3, bias: 1e-3 }, { error: 0.1, bias: 0.1 }],
    [20, 0.9, 1, { error: 1e-4, bias: 1e-4 }, { error: 0.01, bias: 0.01 }],
  ])(
    "of %i with one of %d and a tail of 1 / rank^%d are within %o, rounded by their largest at least %o off",
    async (V, peak, power, most, least) => {
      const ours = await measure(V, peak, power, probabilitiesTimes);
      const plain = await measure(V, peak, power, (p, _, rounded) => int8Matmul(p, rounded));
      for (const figure of ["error", "bias"] as const) {
        expect(ours[figure], figure).toBeLessThan(most[figure]);
        expect(plain[figure], figure).toBeGreaterThan(least[figure]);
      }
    },
  );

  it("that are all equal are within a step of a weight", async () => {
    expect((await measure(4096, 0, 0, probabilitiesTimes)).error).toBeLessThan(1e-3);
  });
});
