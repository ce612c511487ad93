import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { evaluate, gradientByDifferences, largestError, numbersOf } from "../../test/evaluate.ts";
import { normal } from "../../test/op-cases.ts";
import { gradients, input, multiply, program, total, type Tensor } from "../graph/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { activations } from "./activation.ts";
import { modulesOf } from "./modules.ts";
import { gatedExperts, routed, type Routing } from "./moe.ts";

const [N, D, F, E] = [5, 3, 4, 4];
const names = (name: string): string[] => Array.from({ length: E }, (_, expert) => `${expert}.${name}`);
const experts = { gate: names("gate"), up: names("up"), down: names("down") };
const stored = new Map(
  Object.values(experts)
    .flat()
    .map((name, stream) => [name, normal(name.endsWith("down") ? [D, F] : [F, D], stream)]),
);
const weights = new Map([...stored].map(([name, { shape }]) => [`${name}.weight`, input(name, shape)]));
const modules = modulesOf({ find: (name) => weights.get(name), trainable: [...weights.values()] });
const x = input("x", [N, D]);
const logits = input("logits", [N, E]);
const mixture = (routing: Routing): Tensor => routed(x, logits, routing, gatedExperts(modules, experts, activations.silu));
const hosts = (given: HostTensor) => ({ ...Object.fromEntries(stored), x: normal([N, D], 9), logits: given });

const rows = ({ data, shape: [count, width] }: HostTensor): number[][] =>
  Array.from({ length: count }, (_, row) => Array.from({ length: width }, (__, column) => Number(data[row * width + column])));
const product = (matrix: readonly number[][], vector: readonly number[]): number[] =>
  matrix.map((row) => row.reduce((sum, value, index) => sum + value * vector[index], 0));
const expert = (index: number, token: readonly number[]): number[] => {
  const ups = product(rows(stored.get(experts.up[index])!), token);
  const inner = product(rows(stored.get(experts.gate[index])!), token).map((gate, f) => (gate / (1 + Math.exp(-gate))) * ups[f]);
  return product(rows(stored.get(experts.down[index])!), inner);
};

/** Token by token and expert by expert, as the formula says it. */
const plainly = (given: HostTensor, { perToken, isNormalised }: Routing): number[] =>
  rows(normal([N, D], 9)).flatMap((token, n) => {
    const scores = rows(given)[n];
    const sum = scores.reduce((all, score) => all + Math.exp(score), 0);
    const p = scores.map((score) => Math.exp(score) / sum);
    const chosen = [...p.keys()].sort((a, b) => p[b] - p[a] || a - b).slice(0, perToken);
    const norm = isNormalised ? chosen.reduce((all, index) => all + p[index], 0) : 1;
    const y = Array.from({ length: D }, () => 0);
    for (const index of chosen) expert(index, token).forEach((value, d) => (y[d] += (p[index] / norm) * value));
    return y;
  });

const scattered = normal([N, E], 3);
const crowded = f32(
  Array.from({ length: N * E }, (_, index) => [5, 4, 0, -1][index % E]),
  [N, E],
);
const equal = f32(
  Array.from({ length: N * E }, () => 0.5),
  [N, E],
);

describe("a mixture of experts", () => {
  let backend: Backend;
  beforeAll(() => {
    backend = ortBackend({ threads: 1 });
  });
  afterAll(() => backend.dispose());

  it.each([
    { about: "scattered, two of four", given: scattered, routing: { perToken: 2, isNormalised: true } },
    { about: "scattered, not normalised", given: scattered, routing: { perToken: 2, isNormalised: false } },
    { about: "scattered, one of four", given: scattered, routing: { perToken: 1, isNormalised: false } },
    { about: "scattered, all four", given: scattered, routing: { perToken: 4, isNormalised: true } },
    { about: "every token to the same two, and none to the others", given: crowded, routing: { perToken: 2, isNormalised: true } },
    { about: "equal probabilities", given: equal, routing: { perToken: 2, isNormalised: true } },
  ])("is Σ g·E(x): $about", async ({ given, routing }) => {
    for (const on of [undefined, backend]) {
      const { y } = await evaluate({ y: mixture(routing) }, hosts(given), on);
      expect(largestError(numbersOf(y), plainly(given, routing))).toBeLessThan(2e-6);
    }
  });

  it.each([
    { given: scattered, isNormalised: true },
    { given: scattered, isNormalised: false },
    { given: crowded, isNormalised: true },
  ])("has the gradients of differences, in tokens, router and experts, busy and idle ones: %#", async ({ given, isNormalised }) => {
    const y = mixture({ perToken: 2, isNormalised });
    const loss = total(multiply(y, input("dy", [N, D])));
    const wanted = { x, logits, "0.gate": weights.get("0.gate.weight")!, "3.down": weights.get("3.down.weight")! };
    const found = gradients(loss, Object.values(wanted));
    const feeds = { ...hosts(given), dy: normal([N, D], 4) };
    const dx = await evaluate(Object.fromEntries(Object.keys(wanted).map((name, index) => [`d ${name}`, found[index]])), feeds, backend);
    const executable = await backend.compile(program({ y }));
    for (const name of Object.keys(wanted)) {
      const { dy, ...forward } = feeds;
      const run = async (moved: typeof forward) => (await executable.run(moved))["y"] as HostTensor;
      const expected = await gradientByDifferences((moved) => run(moved as typeof forward), forward, name, dy);
      expect(largestError(numbersOf(dx[`d ${name}`]), expected), name).toBeLessThan(1e-4);
    }
    await executable.dispose();
  });
});
