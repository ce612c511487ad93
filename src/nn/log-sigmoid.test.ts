import { expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { gradients, input, total } from "../graph/index.ts";
import { f32 } from "../util/index.ts";
import { logSigmoid } from "./log-sigmoid.ts";

it("log σ(x) and its slope σ(−x) hold for scores of any size, at 0 as well", async () => {
  const scores = [-200, -30, -2, -1e-3, 0, 1e-3, 0.5, 3, 30, 200];
  const x = input("x", [scores.length]);
  const y = logSigmoid(x);
  const result = await evaluate({ y, dx: gradients(total(y), [x])[0] }, { x: f32(scores) });
  const [value, slope] = [(s: number) => -Math.log1p(Math.exp(-s)), (s: number) => 1 / (1 + Math.exp(s))];
  expect(largestError(numbersOf(result.y), scores.map(value))).toBeLessThan(1e-6);
  expect(largestError(numbersOf(result.dx), scores.map(slope))).toBeLessThan(1e-6);
});
