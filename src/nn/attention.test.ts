import { describe, expect, it } from "vitest";
import { checkpoint, constant, gradients, input, multiply, program, total, transpose, type Tensor } from "../graph/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { f32, i32, random, type HostTensor } from "../util/index.ts";
import { trainingAttention, type AttendOptions } from "./attention.ts";
import { causalMask, fullMask } from "./mask.ts";
import { bucketedBias, bucketOf, type Buckets } from "./position-bias.ts";

const [B, H, K, T, S, D] = [2, 4, 2, 12, 7, 3];
const buckets: Buckets = { count: 6, maxDistance: 9, bothWays: true };
const stream = random(5);
const normals = (count: number): number[] => Array.from({ length: count }, () => stream.normal());
const numbers = { q: normals(B * H * T * D), k: normals(B * K * T * D), v: normals(B * K * T * D), table: normals(buckets.count * H) };
const direction = normals(B * H * T * D);
// Two documents in the second row, whose second one has two tokens on the other side of cross-attention.
const segments = Int32Array.from({ length: B * T }, (_, index) => (index < T + 7 ? 1 : 2));
const others = Int32Array.from({ length: B * S }, (_, index) => (index < S + 5 ? 1 : 2));

type Sight = "before" | "both ways" | "across";
interface Case {
  readonly sees: Sight;
  /** Whether the scores get a bias by distance. */
  readonly biased?: boolean;
  readonly options: AttendOptions;
}

const lengthOf = (sees: Sight): number => (sees === "across" ? S : T);
const shapesOf = ({ sees }: Case): Record<keyof typeof numbers, number[]> => {
  const keys = [B, K, lengthOf(sees), D];
  return { q: [B, H, T, D], k: keys, v: keys, table: [buckets.count, H] };
};
const fed = (each: Case): Record<string, HostTensor> =>
  Object.fromEntries(
    Object.entries(shapesOf(each)).map(([name, shape]) => {
      const size = shape.reduce((product, length) => product * length);
      return [name, f32(numbers[name as keyof typeof numbers].slice(0, size), shape)];
    }),
  );

interface How {
  readonly remake?: boolean;
  readonly piece?: number;
  /** Whether everything is computed again for the gradient. */
  readonly again?: boolean;
}

const attended = async (
  each: Case,
  block: number,
  { remake = true, piece, again = false }: How = {},
): Promise<Record<string, readonly number[]>> => {
  const { sees, biased = false, options } = each;
  const documents = input("segments", [B, T], "i32");
  const mask = {
    before: () => causalMask(documents),
    "both ways": () => fullMask(documents),
    across: () => fullMask(documents, input("others", [B, S], "i32")),
  }[sees]();
  const attention = trainingAttention({
    positions: documents,
    maxPositions: T,
    mask,
    block,
    remake,
    ...(piece !== undefined && { piece }),
  });
  const given = Object.fromEntries(Object.entries(shapesOf(each)).map(([name, shape]) => [name, input(name, shape)]));
  const { q, k, v, table } = given as Record<keyof typeof numbers, Tensor>;
  const attendedRows = attention.attend(0, q, k, v, biased ? { ...options, positionBias: bucketedBias(table, buckets) } : options); // (B, T, H, D)
  const plain = transpose(attendedRows, [0, 2, 1, 3]);
  const y = again ? checkpoint(plain, [q, k, v, table]) : plain;
  const loss = total(multiply(y, constant(f32(direction, [B, H, T, D]))));
  const [dq, dk, dv, dtable] = gradients(loss, [q, k, v, table]);
  const graph = program({ y, loss, dq, dk, dv, dtable });
  const executable = await referenceBackend().compile(graph);
  const feeds = { ...fed(each), segments: i32(segments, [B, T]), others: i32(others, [B, S]) };
  const result = await executable.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => graph.inputs.has(name))));
  return Object.fromEntries(
    Object.entries(result as Record<string, HostTensor>).map(([name, { data }]) => [name, Array.from(data, Number)]),
  );
};

// The definition, query by query: what each key j that query i sees contributes.
const defined = ({ sees, biased = false, options: { scale, window = Infinity, cap } }: Case): number[] =>
  Array.from({ length: B * H * T }, (_, index) => {
    const [b, h, i] = [Math.floor(index / (H * T)), Math.floor(index / T) % H, index % T];
    const length = lengthOf(sees);
    const rowOf = (j: number): number => ((b * K + Math.floor((h * K) / H)) * length + j) * D;
    const documentOf = (j: number): number => (sees === "across" ? others[b * S + j] : segments[b * T + j]);
    const seen = Array.from({ length }, (__, j) => j).filter(
      (j) => documentOf(j) === segments[b * T + i] && (sees !== "before" || (j <= i && i - j < window)),
    );
    const weights = seen.map((j) => {
      const products = Array.from({ length: D }, (__, d) => numbers.q[index * D + d] * numbers.k[rowOf(j) + d]);
      const score = scale * products.reduce((a, c) => a + c);
      const bias = biased ? numbers.table[bucketOf(j - i, buckets) * H + h] : 0;
      return Math.exp(bias + (cap === undefined ? score : cap * Math.tanh(score / cap)));
    });
    const sum = weights.reduce((a, c) => a + c);
    return Array.from({ length: D }, (__, d) => seen.reduce((y, j, at) => y + (weights[at] / sum) * numbers.v[rowOf(j) + d], 0));
  }).flat();

const cases: Case[] = [
  { sees: "before", options: { scale: 0.5 } },
  { sees: "before", options: { scale: 0.5, window: 3 } },
  { sees: "before", options: { scale: 1.5, cap: 0.8 } },
  { sees: "before", options: { scale: 1.5, window: 5, cap: 2 } },
  { sees: "before", biased: true, options: { scale: 1 } },
  { sees: "both ways", options: { scale: 0.5 } },
  { sees: "both ways", biased: true, options: { scale: 1, cap: 1.5 } },
  { sees: "across", options: { scale: 1 } },
];

describe.each(cases)("attention with %j", (each) => {
  it.each([12, 5, 1])("equals its definition in blocks of %i", async (block) => {
    const { y } = await attended(each, block);
    defined(each).forEach((value, index) => expect(y[index]).toBeCloseTo(value, 5));
  });

  it.each<{ block: number; how: How }>([
    { block: 5, how: {} },
    { block: 1, how: {} },
    { block: 5, how: { remake: false } },
    { block: 5, how: { again: true } },
    { block: 5, how: { piece: 12 } },
    { block: 5, how: { piece: 4 } },
    { block: 3, how: { piece: 5, again: true } },
    { block: 12, how: { piece: 1 } },
    { block: 5, how: { again: true, remake: false } },
  ])("has the same gradients in other blocks and ways as in one: $block, $how", async ({ block, how }) => {
    const whole = await attended(each, T);
    const blocks = await attended(each, block, how);
    for (const name of ["dq", "dk", "dv", "dtable"])
      whole[name].forEach((value, index) => expect(blocks[name][index]).toBeCloseTo(value, 5));
  });

  it("has gradients that agree with differences", async () => {
    const gradient = await attended(each, T);
    for (const name of ["q", "k", "table"] as const)
      for (const index of [0, 11, 20]) {
        const original = numbers[name][index];
        const at = async (step: number): Promise<number> => {
          numbers[name][index] = original + step;
          return (await attended(each, T))["loss"][0];
        };
        const difference = ((await at(1e-2)) - (await at(-1e-2))) / 2e-2;
        numbers[name][index] = original;
        expect(difference).toBeCloseTo(gradient[`d${name}`][index], 2);
      }
  });
});
