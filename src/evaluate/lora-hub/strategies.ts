/** @file Ways to choose the weights of many adapters by the loss of a few examples, and what they are compared with. Adding one is one function and one line. */
import { cmaEs, nelderMead, type Search } from "../../lora/index.ts";
import { random } from "../../util/index.ts";
import type { HubLoss } from "./hub-loss.ts";

export interface StrategyOptions {
  readonly loss: HubLoss;
  /** Number of adapters. */
  readonly count: number;
  /** Values of the loss asked for at most. */
  readonly evaluations: number;
  /** Weights stay within ±bound. */
  readonly bound: number;
  /** Factor of mean |w| in what is minimised. */
  readonly regularisation: number;
  readonly seed: number;
}

export interface Chosen {
  readonly weights: Float64Array;
  /** Loss of the examples at those weights, without the regularisation. */
  readonly loss: number;
  readonly evaluations: number;
}

type Strategy = (options: StrategyOptions) => Promise<Chosen>;

const bestOf = (losses: readonly number[]): number => losses.reduce((best, value, index) => (value < losses[best] ? index : best), 0);

const size = (w: Float64Array): number => w.reduce((sum, value) => sum + Math.abs(value), 0) / w.length;

const unit = (count: number, place: number): Float64Array => Float64Array.from({ length: count }, (_, index) => Number(index === place));

/** Where a search may begin: with no adapter, with each one alone, with their mean. */
const beginnings = (count: number): Float64Array[] => [
  new Float64Array(count),
  ...Array.from({ length: count }, (_, index) => unit(count, index)),
  new Float64Array(count).fill(1 / count),
];

// L(w) + α·mean|w|   [Huang et al. 2023, §3.3]
const searched =
  (search: Search, from: "best" | "zero"): Strategy =>
  async ({ loss, count, evaluations, bound, regularisation, seed }) => {
    const objective = async (points: readonly Float64Array[]): Promise<number[]> => {
      const values: number[] = [];
      for (const point of points) values.push((await loss.value(point)) + regularisation * size(point));
      return values;
    };
    // Half of the budget at most goes into choosing where to begin.
    const tried = from === "best" && 2 * (count + 2) <= evaluations ? beginnings(count) : [new Float64Array(count)];
    const values = tried.length === 1 ? [Infinity] : await objective(tried);
    const best = { point: tried[bestOf(values)], value: values[bestOf(values)] };
    const asked = tried.length === 1 ? 0 : tried.length;
    // From a good place small steps: five examples are soon learned by heart.
    const searchedFrom = await search(objective, {
      start: best.point,
      step: asked === 0 ? 0.3 : 0.1,
      bound,
      evaluations: evaluations - asked,
      random: random(seed),
    });
    const { point, value } = searchedFrom.value < best.value ? searchedFrom : best;
    return { weights: point, loss: value - regularisation * size(point), evaluations: asked + searchedFrom.evaluations };
  };

const singles = async ({ loss, count }: StrategyOptions): Promise<number[]> => {
  const losses: number[] = [];
  for (let index = 0; index < count; index++) losses.push(await loss.value(unit(count, index)));
  return losses;
};

const at = async ({ loss }: StrategyOptions, weights: Float64Array): Promise<Chosen> => ({
  weights,
  loss: await loss.value(weights),
  evaluations: 1,
});

const single: Strategy = async (options) => {
  const losses = await singles(options);
  const best = bestOf(losses);
  return { weights: unit(options.count, best), loss: losses[best], evaluations: options.count };
};

// The best adapter first, then each in the order of its own loss where the mean of those taken gets better by it [Wortsman et al. 2022, recipe 1].
const greedy: Strategy = async (options) => {
  const { loss, count } = options;
  const losses = await singles(options);
  const order = losses.map((_, index) => index).sort((a, b) => losses[a] - losses[b]);
  const meanOf = (taken: readonly number[]): Float64Array =>
    Float64Array.from({ length: count }, (_, index) => (taken.includes(index) ? 1 / taken.length : 0));
  let taken = [order[0]];
  let best = losses[order[0]];
  for (const next of order.slice(1)) {
    const value = await loss.value(meanOf([...taken, next]));
    if (value >= best) continue;
    [taken, best] = [[...taken, next], value];
  }
  return { weights: meanOf(taken), loss: best, evaluations: 2 * count - 1 };
};

// Adam [Kingma and Ba 2015] on w, with the regularisation's sign as its gradient; the best weights seen are kept.
const gradient: Strategy = async ({ loss, count, evaluations, bound, regularisation }) => {
  const [rate, beta1, beta2, epsilon] = [0.1, 0.9, 0.999, 1e-8];
  const w = new Float64Array(count);
  const [m, v] = [new Float64Array(count), new Float64Array(count)];
  let best: Chosen & { readonly objective: number } = { weights: w.slice(), loss: Infinity, objective: Infinity, evaluations };
  for (let step = 1; step <= evaluations; step++) {
    const { loss: value, gradient: slope } = await loss.gradient(w);
    const objective = value + regularisation * size(w);
    if (objective < best.objective) best = { weights: w.slice(), loss: value, objective, evaluations };
    for (let index = 0; index < count; index++) {
      const g = slope[index] + (regularisation * Math.sign(w[index])) / count;
      m[index] = beta1 * m[index] + (1 - beta1) * g;
      v[index] = beta2 * v[index] + (1 - beta2) * g * g;
      const move = (rate * (m[index] / (1 - beta1 ** step))) / (Math.sqrt(v[index] / (1 - beta2 ** step)) + epsilon);
      w[index] = Math.max(-bound, Math.min(bound, w[index] - move));
    }
  }
  return { weights: best.weights, loss: best.loss, evaluations };
};

/** By name; the first is what is used where none is named. */
export const strategies = {
  "cma-es": searched(cmaEs, "best"),
  "nelder-mead": searched(nelderMead, "best"),
  "cma-es-from-zero": searched(cmaEs, "zero"),
  gradient,
  single,
  uniform: (options) => at(options, new Float64Array(options.count).fill(1 / options.count)),
  greedy,
  base: (options) => at(options, new Float64Array(options.count)),
} satisfies Record<string, Strategy>;

export type StrategyName = keyof typeof strategies;
