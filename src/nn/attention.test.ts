import { describe, expect, it } from "vitest";
import { constant, gradients, input, multiply, program, total } from "../graph/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { f32, i32, random, type HostTensor } from "../util/index.ts";
import { trainingAttention, type AttendOptions } from "./attention.ts";
import { causalMask } from "./mask.ts";

const [B, H, K, T, D] = [2, 4, 2, 12, 3];
const stream = random(5);
const normals = (count: number): number[] => Array.from({ length: count }, () => stream.normal());
const queries = normals(B * H * T * D);
const keys = normals(B * K * T * D);
const values = normals(B * K * T * D);
const direction = normals(B * H * T * D);
// Two documents in the second row.
const segments = Int32Array.from({ length: B * T }, (_, index) => (index < T + 7 ? 1 : 2));

const attended = async (options: AttendOptions, block: number): Promise<Record<string, readonly number[]>> => {
  const documents = input("segments", [B, T], "i32");
  const attention = trainingAttention({
    positions: documents,
    maxPositions: T,
    mask: causalMask(documents),
    block,
  });
  const [q, k, v] = [input("q", [B, H, T, D]), input("k", [B, K, T, D]), input("v", [B, K, T, D])];
  const y = attention.attend(0, q, k, v, options);
  const loss = total(multiply(y, constant(f32(direction, [B, H, T, D]))));
  const [dq, dk, dv] = gradients(loss, [q, k, v]);
  const executable = await referenceBackend().compile(program({ y, loss, dq, dk, dv }));
  const result = await executable.run({
    segments: i32(segments, [B, T]),
    q: f32(queries, [B, H, T, D]),
    k: f32(keys, [B, K, T, D]),
    v: f32(values, [B, K, T, D]),
  });
  return Object.fromEntries(
    Object.entries(result as Record<string, HostTensor>).map(([name, { data }]) => [name, Array.from(data, Number)]),
  );
};

// The definition, query by query: what j of i − window < j ≤ i in the same document contributes.
const defined = ({ scale, window = Infinity, cap }: AttendOptions): number[] =>
  Array.from({ length: B * H * T }, (_, index) => {
    const [b, h, i] = [Math.floor(index / (H * T)), Math.floor(index / T) % H, index % T];
    const rowOf = (j: number): number => ((b * K + Math.floor((h * K) / H)) * T + j) * D;
    const seen = Array.from({ length: i + 1 }, (__, j) => j).filter((j) => i - j < window && segments[b * T + j] === segments[b * T + i]);
    const weights = seen.map((j) => {
      const score = scale * Array.from({ length: D }, (__, d) => queries[index * D + d] * keys[rowOf(j) + d]).reduce((a, c) => a + c);
      return Math.exp(cap === undefined ? score : cap * Math.tanh(score / cap));
    });
    const sum = weights.reduce((a, c) => a + c);
    return Array.from({ length: D }, (__, d) => seen.reduce((y, j, at) => y + (weights[at] / sum) * values[rowOf(j) + d], 0));
  }).flat();

const cases: AttendOptions[] = [{ scale: 0.5 }, { scale: 0.5, window: 3 }, { scale: 1.5, cap: 0.8 }, { scale: 1.5, window: 5, cap: 2 }];

describe.each(cases)("attention with %j", (options) => {
  it.each([12, 5, 1])("equals its definition in blocks of %i", async (block) => {
    const { y } = await attended(options, block);
    defined(options).forEach((value, index) => expect(y[index]).toBeCloseTo(value, 5));
  });

  it("has the same gradients in blocks as in one", async () => {
    const whole = await attended(options, T);
    const blocks = await attended(options, 5);
    for (const name of ["dq", "dk", "dv"]) whole[name].forEach((value, index) => expect(blocks[name][index]).toBeCloseTo(value, 5));
  });

  it("has gradients that agree with differences", async () => {
    const { dq, dk } = await attended(options, T);
    for (const [numbers, gradient] of [
      [queries, dq],
      [keys, dk],
    ] as const)
      for (const index of [0, 20, 40]) {
        const original = numbers[index];
        const at = async (step: number): Promise<number> => {
          numbers[index] = original + step;
          return (await attended(options, T))["loss"][0];
        };
        const difference = ((await at(1e-2)) - (await at(-1e-2))) / 2e-2;
        numbers[index] = original;
        expect(difference).toBeCloseTo(gradient[index], 2);
      }
  });
});
