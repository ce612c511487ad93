import { describe, expect, it } from "vitest";
import { evaluate, gradientByDifferences, largestError, numbersOf } from "../../test/evaluate.ts";
import { normal } from "../../test/op-cases.ts";
import { gradients, input } from "../graph/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { loadBalance } from "./load-balance.ts";

const [N, E] = [6, 4];
const counts = input("weights", [N]);
const routers = ["first", "second"].map((name) => ({ logits: input(name, [N, E]), weights: counts }));

const rows = ({ data }: HostTensor): number[][] => Array.from({ length: N }, (_, n) => Array.from(data.slice(n * E, (n + 1) * E), Number));
const softmax = (scores: readonly number[]): number[] => {
  const sum = scores.reduce((all, score) => all + Math.exp(score), 0);
  return scores.map((score) => Math.exp(score) / sum);
};

/** Token by token, as the formula says it. */
const plainly = (logits: readonly HostTensor[], weights: readonly number[], perToken: number): number => {
  const [chosen, mean] = [Array.from({ length: E }, () => 0), Array.from({ length: E }, () => 0)];
  const count = logits.length * weights.reduce((sum, weight) => sum + weight, 0);
  for (const each of logits)
    for (const [n, scores] of rows(each).entries()) {
      const p = softmax(scores);
      const best = [...p.keys()].sort((a, b) => p[b] - p[a]).slice(0, perToken);
      for (const expert of best) chosen[expert] += weights[n] / count;
      p.forEach((share, expert) => (mean[expert] += (weights[n] * share) / count));
    }
  return E * chosen.reduce((sum, share, expert) => sum + share * mean[expert], 0);
};

describe("the balance of experts", () => {
  const hosts = { first: normal([N, E], 1), second: normal([N, E], 2) };

  it.each([
    { perToken: 1, weights: [1, 1, 1, 1, 1, 1] },
    { perToken: 2, weights: [1, 1, 1, 1, 1, 1] },
    { perToken: 2, weights: [0, 0, 1, 1, 0, 1] },
    { perToken: 4, weights: [1, 0, 1, 0, 1, 0] },
  ])("is E·Σ f·P over all routers' tokens that count: $perToken of four, $weights", async ({ perToken, weights }) => {
    const loss = loadBalance(routers, perToken);
    const dy = gradients(loss, [routers[0].logits]);
    const given = { ...hosts, weights: f32(weights) };
    const { value, gradient } = await evaluate({ value: loss, gradient: dy[0] }, given);
    expect(numbersOf(value)[0]).toBeCloseTo(plainly([hosts.first, hosts.second], weights, perToken), 5);
    // Small steps, so that no token chooses others.
    const differences = await gradientByDifferences(
      async (feeds) => f32([plainly([feeds["first"], feeds["second"]], weights, perToken)]),
      given,
      "first",
      f32([1]),
      0.01,
    );
    expect(largestError(numbersOf(gradient), differences)).toBeLessThan(1e-4);
  });

  it("is as many as a token chooses where all experts are used alike", async () => {
    const turning = f32(
      Array.from({ length: N * E }, (_, index) => Number(index % E === Math.floor(index / E) % E)),
      [N, E],
    );
    const { value } = await evaluate({ value: loadBalance([routers[0]], 1) }, { first: turning, weights: f32([1, 1, 1, 1, 0, 0]) });
    expect(numbersOf(value)[0]).toBeCloseTo(1, 5);
  });
});
