import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { evaluate, largestError, numbersOf } from "../../test/evaluate.ts";
import { constant, input, transpose, type Tensor } from "../graph/index.ts";
import { f32, i32, random, type HostTensor } from "../util/index.ts";
import { cachedAttention, trainingAttention, type AttendOptions } from "./attention.ts";
import { causalMask } from "./mask.ts";
import { bucketedBias, type Buckets } from "./position-bias.ts";

interface Sizes {
  /** Query heads per key head, key heads, head size. */
  readonly G: number;
  readonly K: number;
  readonly D: number;
  /** Tokens cached, tokens that come now, and how many more the cache has room for. */
  readonly P: number;
  readonly T: number;
  readonly room: number;
  readonly seed: number;
}

const heads = (seed: number, count: number, length: number, D: number): HostTensor => {
  const generator = random(seed);
  return f32(
    Float32Array.from({ length: count * length * D }, () => generator.normal()),
    [1, count, length, D],
  );
};

/** Positions `start … end − 1` of each head, with zeros up to `capacity`. */
const part = ({ shape: [, count, length, D], data }: HostTensor, start: number, end: number, capacity = end - start): HostTensor => {
  const result = new Float32Array(count * capacity * D);
  for (let head = 0; head < count; head++)
    result.set((data as Float32Array).subarray((head * length + start) * D, (head * length + end) * D), head * capacity * D);
  return f32(result, [1, count, capacity, D]);
};

const byHead = (attended: Tensor): Tensor => transpose(attended, [0, 2, 1, 3]);

const whole = async (q: HostTensor, k: HostTensor, v: HostTensor, options: AttendOptions): Promise<HostTensor> => {
  const length = q.shape[2];
  const segments = input("segments", [1, length], "i32");
  const attention = trainingAttention({ positions: segments, maxPositions: length, mask: causalMask(segments), block: length });
  const o = byHead(attention.attend(0, input("q", q.shape), input("k", k.shape), input("v", v.shape), options));
  return (await evaluate({ o }, { q, k, v, segments: i32(new Int32Array(length).fill(1), [1, length]) })).o;
};

const cached = async (
  { P, T, room }: Sizes,
  q: HostTensor,
  k: HostTensor,
  v: HostTensor,
  options: AttendOptions,
): Promise<{ o: HostTensor; stored: HostTensor[] }> => {
  const capacity = P + room;
  const { window = Infinity } = options;
  const stored: Record<string, Tensor> = {};
  const attention = cachedAttention({
    positions: constant({ dtype: "i64", shape: [1, T], data: BigInt64Array.from({ length: T }, (_, index) => BigInt(P + index)) }),
    maxPositions: capacity + T,
    bias: (asked) => {
      expect(asked).toBe(window);
      return input("bias", [1, 1, T, capacity + T]);
    },
    past: (layer) => {
      if (capacity === 0) return undefined;
      return {
        key: input(`key.${layer}`, [1, k.shape[1], capacity, k.shape[3]]),
        value: input(`value.${layer}`, [1, v.shape[1], capacity, v.shape[3]]),
      };
    },
    present: (layer, key, value) => Object.assign(stored, { [`key of ${layer}`]: key, [`value of ${layer}`]: value }),
  });
  const now = { q: part(q, P, P + T), k: part(k, P, P + T), v: part(v, P, P + T) };
  const o = byHead(attention.attend(3, input("q", now.q.shape), input("k", now.k.shape), input("v", now.v.shape), options));
  const bias = Float32Array.from({ length: T * (capacity + T) }, (_, index) => {
    const [query, column] = [P + Math.floor(index / (capacity + T)), index % (capacity + T)];
    const key = column < capacity ? column : P + column - capacity;
    const isHeld = column < P || column >= capacity;
    return isHeld && key <= query && query - key < window ? 0 : -1e30;
  });
  const past: Record<string, HostTensor> = capacity === 0 ? {} : { "key.3": part(k, 0, P, capacity), "value.3": part(v, 0, P, capacity) };
  const result = await evaluate({ o, ...stored }, { ...now, ...past, bias: f32(bias, [1, 1, T, capacity + T]) });
  return { o: result.o, stored: [result["key of 3"], result["value of 3"]] };
};

const compare = async (sizes: Sizes, options: AttendOptions): Promise<number> => {
  const { G, K, D, P, T, seed } = sizes;
  const [q, k, v] = [heads(seed, G * K, P + T, D), heads(seed + 1, K, P + T, D), heads(seed + 2, K, P + T, D)];
  const { o, stored } = await cached(sizes, q, k, v, options);
  expect(stored).toEqual([part(k, P, P + T), part(v, P, P + T)]);
  return largestError(numbersOf(o), numbersOf(part(await whole(q, k, v, options), P, P + T)));
};

const buckets: Buckets = { count: 4, maxDistance: 5, bothWays: false };

/** With a bias by distance, which does not depend on where keys lie in the cache. */
const biased = ({ G, K, seed }: Sizes): AttendOptions => {
  const generator = random(seed, 1);
  const table = Float32Array.from({ length: buckets.count * G * K }, () => generator.normal());
  return { scale: 1, positionBias: bucketedBias(constant(f32(table, [buckets.count, G * K])), buckets) };
};

describe("attention over a cache equals attention over the whole", () => {
  const sizes: Sizes = { G: 2, K: 3, D: 4, seed: 1, P: 0, T: 0, room: 0 };
  it.each([
    { about: "with nothing cached", P: 0, T: 5, room: 0 },
    { about: "with an empty cache", P: 0, T: 5, room: 4 },
    { about: "with a full cache", P: 6, T: 3, room: 0 },
    { about: "with a half-full cache", P: 3, T: 2, room: 5 },
    { about: "for one token", P: 7, T: 1, room: 1 },
  ])("$about", async ({ P, T, room }) => {
    expect(await compare({ ...sizes, P, T, room }, { scale: 0.5 })).toBeLessThan(1e-6);
    expect(await compare({ ...sizes, P, T, room }, biased(sizes))).toBeLessThan(1e-6);
  });

  it("for any sizes, windows and caps", async () => {
    const size = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
    const arbitrary = fc.record({
      G: size(1, 3),
      K: size(1, 3),
      D: size(1, 4),
      P: size(0, 6),
      T: size(1, 5),
      room: size(0, 4),
      seed: fc.nat(1e6),
    });
    const options = fc.record(
      { scale: fc.constantFrom(0.3, 1), window: size(1, 8), cap: fc.constantFrom(0.7, 5) },
      { requiredKeys: ["scale"] },
    );
    await fc.assert(
      fc.asyncProperty(arbitrary, options, async (given, how) => {
        expect(await compare(given, how)).toBeLessThan(1e-5);
      }),
      { numRuns: 60, seed: 3 },
    );
  });
});
