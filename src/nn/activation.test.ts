import { expect, it } from "vitest";
import { constant, program, type Tensor } from "../graph/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { activations } from "./activation.ts";
import { layerNorm } from "./norm.ts";
import { softcap, softcapSlope } from "./softcap.ts";

const evaluate = async (y: Tensor): Promise<number[]> => {
  const executable = await referenceBackend().compile(program({ y }));
  const result = (await executable.run({})) as Record<string, HostTensor>;
  return Array.from(result["y"].data, Number);
};
const row = (...values: readonly number[]): Tensor => constant(f32(values));

// Figures of PyTorch 2.13.
it.each([
  ["silu", [-0.1422776, -0.1887703, 0, 0.7310586, 2.3103545]],
  ["swish", [-0.1422776, -0.1887703, 0, 0.7310586, 2.3103545]],
  ["gelu", [-0.0040502, -0.1542688, 0, 0.8413447, 2.4844759]],
  ["gelu_new", [-0.0036374, -0.154286, 0, 0.841192, 2.4849157]],
  ["gelu_fast", [-0.0036374, -0.154286, 0, 0.841192, 2.4849157]],
  ["gelu_pytorch_tanh", [-0.0036374, -0.154286, 0, 0.841192, 2.4849157]],
  ["relu", [0, 0, 0, 1, 2.5]],
] as const)("%s has PyTorch's values", async (name, expected) => {
  const values = await evaluate(activations[name](row(-3, -0.5, 0, 1, 2.5)));
  expected.forEach((value, index) => expect(values[index]).toBeCloseTo(value, 5));
});

it("layer normalisation has PyTorch's values, with a large epsilon too", async () => {
  const x = constant(f32([1, 2, 4, -3, 0, 0, 0, 1], [2, 4]));
  const values = await evaluate(layerNorm(x, row(1, 2, 0.5, -1), row(0, 1, 0, 0.25), 0.1));
  [0, 1.7785, 0.5839, 1.807, -0.4663, 0.0675, -0.2331, -1.1488].forEach((value, index) => expect(values[index]).toBeCloseTo(value, 4));
});

it("soft caps squeeze into ±cap, with the slope that differences have", async () => {
  const capped = await evaluate(softcap(row(-100, -1, 0.5, 40), 30));
  [-29.9237, -0.9996, 0.5, 26.1019].forEach((value, index) => expect(capped[index]).toBeCloseTo(value, 4));
  const slopes = await evaluate(softcapSlope(softcap(row(-1, 0, 2), 1.5), 1.5));
  [-1, 0, 2].forEach((x, index) => {
    const difference = (1.5 * Math.tanh((x + 1e-4) / 1.5) - 1.5 * Math.tanh((x - 1e-4) / 1.5)) / 2e-4;
    expect(slopes[index]).toBeCloseTo(difference, 5);
  });
});
