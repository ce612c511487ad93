import { describe, expect, it } from "vitest";
import { random } from "../../util/index.ts";
import { loraConfig, type InitName } from "../config.ts";
import { linear } from "../kinds/linear.ts";
import type { StartContext } from "./initialisation.ts";
import { initialisationOf } from "./initialisations.ts";

const target = { module: "m", kind: linear, isOrdinary: true, inFeatures: 400, outFeatures: 300, rank: 16, scaling: 2 };

const filled = async (name: InitName, seed = 1) => {
  const A = new Float32Array(400 * 16);
  const B = new Float32Array(16 * 300);
  const context = { target, generator: random(seed) } as unknown as StartContext;
  await initialisationOf(loraConfig({ init_lora_weights: name })).start(A, B, context);
  return { A, B };
};
const deviation = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

describe("starting values", () => {
  it.each<[InitName, number, number, number]>([
    // name, standard deviation of A, largest |A|, standard deviation of B
    [true, 0.05 / Math.sqrt(3), 0.05, 0],
    ["gaussian", 1 / 16, Infinity, 0],
    [false, 0.05 / Math.sqrt(3), 0.05, 0.25 / Math.sqrt(3)],
  ])("init_lora_weights %s", async (name, ofA, bound, ofB) => {
    const { A, B } = await filled(name);
    expect(Math.abs(deviation(A) / ofA - 1)).toBeLessThan(0.03);
    expect(Math.max(...A.map(Math.abs))).toBeLessThanOrEqual(bound);
    expect(deviation(B)).toBeCloseTo(ofB, 2);
  });

  it("are the same for the same seed and others for another", async () => {
    expect(await filled(true)).toEqual(await filled(true));
    expect((await filled(true)).A[0]).not.toBe((await filled(true, 2)).A[0]);
  });
});
