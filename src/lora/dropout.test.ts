import { describe, expect, it } from "vitest";
import { input, program } from "../graph/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { dropoutPool, poolSize, pooledDropout } from "./dropout.ts";

const largest = 40 * 50;
const probability = 0.1;

const maskOf = async (seed: number, step: number, modules: readonly string[]): Promise<Float32Array[]> => {
  const x = input("x", [40, 50]);
  const dropout = pooledDropout(largest);
  const graph = program(Object.fromEntries(modules.map((module, index) => [`y${index}`, dropout(module, x)])));
  const pool = f32(dropoutPool(largest, probability, seed, step), [poolSize(largest)]);
  const results = await (
    await referenceBackend().compile(graph)
  ).run({ x: f32(new Float32Array(largest).fill(1), [40, 50]), dropout: pool });
  return modules.map((_, index) => (results[`y${index}`] as HostTensor).data as Float32Array);
};

const agreement = (a: Float32Array, b: Float32Array): number => a.filter((value, index) => value === b[index]).length / a.length;

describe("dropout", () => {
  it("drops the asked share and keeps the mean", async () => {
    const [mask] = await maskOf(3, 5, ["q_proj"]);
    const dropped = mask.filter((value) => value === 0).length / mask.length;
    expect(Math.abs(dropped - probability)).toBeLessThan(0.02);
    expect(new Set(mask)).toEqual(new Set([0, Math.fround(1 / 0.9)]));
    expect(mask.reduce((a, b) => a + b, 0) / mask.length).toBeCloseTo(1, 1);
  });

  it("is a function of seed, step and module", async () => {
    const [again] = await maskOf(3, 5, ["q_proj"]);
    const [mask, otherModule] = await maskOf(3, 5, ["q_proj", "k_proj"]);
    expect(mask).toEqual(again);
    const independent = 0.9 * 0.9 + 0.1 * 0.1;
    for (const other of [otherModule, ...(await maskOf(3, 6, ["q_proj"])), ...(await maskOf(4, 5, ["q_proj"]))])
      expect(Math.abs(agreement(mask, other) - independent)).toBeLessThan(0.03);
  });
});
