import { describe, expect, it } from "vitest";
import { layoutOf } from "../../nn/layout.ts";
import { adamw } from "./adamw.ts";
import { rateSpans, type Optimiser } from "./optimiser.ts";
import { sgd } from "./sgd.ts";

const layout = layoutOf([
  { name: "a", role: "lora_A", shape: [2, 2] },
  { name: "b", role: "lora_B", shape: [2, 2] },
]);

// Numbers in [−1, 1) that a script in any language can repeat (a linear congruential generator).
const numbers = (seed: number, count: number): Float32Array => {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (1664525 * state + 1013904223) % 2 ** 32;
    return (state / 2 ** 32) * 2 - 1;
  });
};

/** Pulls x towards a target for some steps, with a disturbed gradient. */
const descend = (optimiser: Optimiser, learningRate: number, from: number, to: number, x: Float32Array): Float32Array => {
  const target = numbers(2, 8);
  for (let step = from; step <= to; step++) {
    const noise = numbers(100 + step, 8);
    optimiser.update(
      x,
      x.map((value, index) => value - target[index] + 0.1 * noise[index]),
      learningRate,
    );
  }
  return x;
};

const largestDifference = (left: Float32Array, right: readonly number[]): number =>
  Math.max(...right.map((value, index) => Math.abs(value - left[index])));

// End points after 20 steps of torch 2.13's AdamW and SGD on the same problem.
const cases: [string, () => Optimiser, number, number[]][] = [
  [
    "AdamW",
    () => adamw(layout),
    1e-2,
    [
      -0.490812748670578, -0.09879323095083237, -0.18523848056793213, 0.44846832752227783, -0.6990866661071777, -0.45303109288215637,
      0.3515966832637787, -0.052607711404561996,
    ],
  ],
  [
    "AdamW with a large epsilon and short memory",
    () => adamw(layout, { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, weightDecay: 0 }),
    1e-2,
    [
      -0.4868631064891815, -0.10980706661939621, -0.18380267918109894, 0.43720147013664246, -0.7014939188957214, -0.4512178599834442,
      0.35355284810066223, -0.046279892325401306,
    ],
  ],
  [
    "AdamW with LoRA+ at a ratio of 16",
    () => adamw(layout, { weightDecay: 0.1, loraPlusRatio: 16 }),
    1e-3,
    [
      -0.5068476796150208, -0.2418179214000702, -0.011336147785186768, 0.4232546091079712, -0.5607186555862427, -0.5490205883979797,
      0.22472171485424042, -0.0992438793182373,
    ],
  ],
  [
    "SGD",
    () => sgd(layout, { weightDecay: 0.01 }),
    1e-1,
    [
      -0.4834599494934082, -0.10653933882713318, -0.5533952116966248, 0.45857515931129456, 0.2931782305240631, -0.6973923444747925,
      -0.439113974571228, -0.04945083335042,
    ],
  ],
  [
    "SGD with momentum",
    () => sgd(layout, { momentum: 0.9 }),
    1e-1,
    [
      -0.49860578775405884, -0.17578019201755524, -0.45129868388175964, 0.4312920868396759, -0.010777046903967857, -0.5868828296661377,
      -0.20170234143733978, -0.02792484685778618,
    ],
  ],
];

describe("optimisers", () => {
  it.each(cases)("%s ends where torch ends", (_, create, learningRate, expected) => {
    expect(largestDifference(descend(create(), learningRate, 1, 20, numbers(1, 8)), expected)).toBeLessThan(1e-6);
  });

  it.each(cases)("%s continues from a restored state bit for bit", (_, create, learningRate) => {
    const unbroken = descend(create(), learningRate, 1, 20, numbers(1, 8));
    const first = create();
    const halfway = descend(first, learningRate, 1, 9, numbers(1, 8));
    const saved = structuredClone(first.state());
    descend(first, learningRate, 10, 12, halfway.slice()); // the saved state must not move with the first optimiser
    const second = create();
    second.restore(saved);
    expect(second.state().step).toBe(9);
    expect(descend(second, learningRate, 10, 20, halfway)).toEqual(unbroken);
  });

  it.each(cases)("%s takes a factor as if the gradient had been multiplied before, bit for bit", (_, create, learningRate) => {
    const [gradient, factor] = [numbers(5, 8), 0.3];
    const [together, before] = [numbers(1, 8), numbers(1, 8)];
    const [one, other] = [create(), create()];
    for (let step = 1; step <= 3; step++) {
      one.update(together, gradient, learningRate, factor);
      other.update(
        before,
        gradient.map((value) => value * factor),
        learningRate,
      );
    }
    expect(together).toEqual(before);
    expect(one.state()).toEqual(other.state());
  });

  it("refuses the state of another optimiser, naming both", () => {
    expect(() => adamw(layout).restore({ step: 3, vectors: { velocity: new Float32Array(8) } })).toThrow(
      "The saved optimiser holds velocity (8); adamw needs first_moment (8), second_moment (8).",
    );
    expect(() => sgd(layout, { momentum: 0.9 }).restore({ step: 3, vectors: { velocity: new Float32Array(4) } })).toThrow(
      "The saved optimiser holds velocity (4); sgd needs velocity (8).",
    );
  });
});

describe("rateSpans", () => {
  it("gives lora_B and vectors, and embeddings, rates of their own and joins neighbours", () => {
    const mixed = layoutOf([
      { name: "w", role: "weight", shape: [3, 1] },
      { name: "a", role: "lora_A", shape: [1, 2] },
      { name: "b", role: "lora_B", shape: [2, 2] },
      { name: "m", role: "vector", shape: [2] },
      { name: "c", role: "bias", shape: [1] },
      { name: "e", role: "embedding", shape: [1, 2] },
      { name: "t", role: "rows", shape: [1, 3] },
      { name: "E", role: "vector", shape: [2, 1] },
    ]);
    expect(rateSpans(mixed, { loraPlusRatio: 16, embeddingRatio: 0.5 })).toEqual([
      { start: 0, end: 5, multiplier: 1 },
      { start: 5, end: 12, multiplier: 16 },
      { start: 12, end: 14, multiplier: 0.5 },
      { start: 14, end: 19, multiplier: 1 },
    ]);
    expect(rateSpans(mixed, {})).toEqual([{ start: 0, end: 19, multiplier: 1 }]);
  });
});
