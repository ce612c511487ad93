import { describe, expect, it } from "vitest";
import { loraConfig, planAdapter, type LoraOptions, type StoredAdapter } from "../../lora/index.ts";
import type { Model } from "../../models/index.ts";
import { adamw } from "./adamw.ts";
import { adjusted } from "./adjusted.ts";
import type { Optimiser } from "./optimiser.ts";
import { sgd } from "./sgd.ts";

// Numbers in [−1, 1) that a script in any language can repeat (a linear congruential generator).
const numbers = (seed: number, count: number): Float32Array => {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (1664525 * state + 1013904223) % 2 ** 32;
    return (state / 2 ** 32) * 2 - 1;
  });
};

const stored = (sizes: Readonly<Record<string, readonly [number, number]>>, config: LoraOptions): StoredAdapter => {
  const linears = Object.entries(sizes).map(([module, [inFeatures, outFeatures]]) => ({
    module,
    inFeatures,
    outFeatures,
    bias: false,
    isHead: false,
  }));
  const adapter = planAdapter({ linears, embeddings: [], parameters: [], aliases: {} } as unknown as Model, loraConfig(config));
  return { adapter, parameters: numbers(1, adapter.layout.size), frozen: numbers(1, adapter.frozen.size) };
};

it("leaves the optimiser alone where the adapter kind asks for nothing", () => {
  const adapter = stored({ p: [3, 2] }, { r: 2 });
  const optimiser = adamw(adapter.adapter.layout);
  expect(adjusted(optimiser, adapter)).toBe(optimiser);
});

describe("AdaLoRA's budget", () => {
  const settings = { target_r: 1, tinit: 2, tfinal: 3, deltaT: 2, total_step: 10 };
  const adapter = (): StoredAdapter => stored({ p: [3, 2], q: [2, 4] }, { r: 3, lora_alpha: 6, adalora: settings });
  const move = (optimiser: Optimiser, parameters: Float32Array, from: number, to: number, each?: (step: number) => void): void => {
    for (let step = from; step <= to; step++) {
      optimiser.update(parameters, numbers(100 + step, parameters.length), 0.1);
      each?.(step);
    }
  };

  it("scores the gradient as a factor makes it", () => {
    const [together, before] = [adapter(), adapter()];
    const [one, other] = [together, before].map((each) => adjusted(sgd(each.adapter.layout), each));
    const gradient = numbers(7, together.parameters.length);
    one.update(together.parameters, gradient, 0.1, 0.3);
    other.update(
      before.parameters,
      gradient.map((value) => value * 0.3),
      0.1,
    );
    expect(one.state()).toEqual(other.state());
  });

  it("takes the same ranks as PEFT's, after the same updates", () => {
    const { adapter: planned, parameters } = adapter();
    const E = planned.layout.slots.filter(({ name }) => name.endsWith("lora_E"));
    const seen: number[][][] = [];
    move(adjusted(sgd(planned.layout), { adapter: planned, parameters, frozen: new Float32Array() }), parameters, 1, 10, () =>
      seen.push(E.map(({ offset, size }) => [...parameters.subarray(offset, offset + size)])),
    );
    // E of p and q after each update: PEFT 0.21's RankAllocator beside torch's SGD.
    const recorded = [
      [
        [0.943618, 0.786512, -0.41563],
        [0.007542, 1.049783, 0.706149],
      ],
      [
        [1.032326, 0.82062, -0.488052],
        [-0.088477, 1.146486, 0.682514],
      ],
      [
        [1.027814, 0.824097, -0.563513],
        [-0.155811, 1.078789, 0.67919],
      ],
      [
        [0.930083, 0, 0],
        [0, 1.046692, 0],
      ],
      [
        [0.939133, -0.057785, -0.081542],
        [-0.009964, 1.050195, 0.037297],
      ],
      [
        [0.854964, 0, 0],
        [0, 1.089298, 0],
      ],
      [
        [0.877576, 0, 0],
        [0, 1.164, 0],
      ],
      [
        [0.806969, 0, 0],
        [0, 1.074302, 0],
      ],
      [
        [0.843143, 0, 0],
        [0, 1.020204, 0],
      ],
      [
        [0.786098, 0, 0],
        [0, 1.001705, 0],
      ],
    ];
    seen.flat(2).forEach((value, index) => expect(value).toBeCloseTo(recorded.flat(2)[index], 5));
  });

  it.each([3, 6, 8])("goes on after update %d as if it had not stopped", (stop) => {
    const whole = adapter();
    const optimiser = adjusted(adamw(whole.adapter.layout), whole);
    const unbroken = whole.parameters;
    let kept: { parameters: Float32Array; state: ReturnType<Optimiser["state"]> } | undefined;
    move(optimiser, unbroken, 1, 10, (step) => {
      if (step === stop) kept = structuredClone({ parameters: unbroken, state: optimiser.state() });
    });
    const resumed = adjusted(adamw(whole.adapter.layout), adapter());
    resumed.restore(kept!.state);
    move(resumed, kept!.parameters, stop + 1, 10);
    expect(kept!.parameters).toEqual(unbroken);
    expect(resumed.state()).toEqual(optimiser.state());
  });
});

describe("LoRA-FA's gradient", () => {
  it("moves B as PEFT's optimiser does", () => {
    const adapter = stored({ p: [4, 3] }, { r: 2, lora_alpha: 3, freeze_A: true });
    const B = numbers(2, 6);
    const optimiser = adjusted(adamw(adapter.adapter.layout, { weightDecay: 0 }), adapter);
    for (let step = 1; step <= 5; step++) optimiser.update(B, numbers(100 + step, 6), 0.01);
    // PEFT 0.21's LoraFAOptimizer in float32.
    const recorded = [-0.476810932, -0.082968615, -0.637302279, 0.475231737, 0.43494612, -0.753332376];
    // Its ε of 10⁻⁶ is added elsewhere than here.
    B.forEach((value, index) => expect(value).toBeCloseTo(recorded[index], 4));
  });

  it("changes the weights by what full fine-tuning would, where A spans all inputs", () => {
    const adapter = stored({ p: [3, 2] }, { r: 3, lora_alpha: 5, freeze_A: true });
    const [A, s] = [adapter.frozen, 5 / 3];
    const full = numbers(9, 6); // dL/dW (in, out)
    const gradient = new Float32Array(6); // dL/dB = s·Aᵀ·dL/dW
    for (let k = 0; k < 3; k++)
      for (let o = 0; o < 2; o++) for (let i = 0; i < 3; i++) gradient[k * 2 + o] += s * A[i * 3 + k] * full[i * 2 + o];
    const B = new Float32Array(6);
    adjusted(sgd(adapter.adapter.layout), adapter).update(B, gradient, 1);
    for (let i = 0; i < 3; i++)
      for (let o = 0; o < 2; o++) {
        let change = 0;
        for (let k = 0; k < 3; k++) change += s * A[i * 3 + k] * B[k * 2 + o];
        expect(change).toBeCloseTo(-full[i * 2 + o], 4);
      }
  });
});
