import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { input, matmul, program } from "../graph/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { f32, random, type HostTensor } from "../util/index.ts";
import { LoRALayer, scalingOf } from "./lora.ts";

const values = (count: number, seed: number): Float32Array => {
  const generator = random(seed);
  return Float32Array.from({ length: count }, () => generator.normal());
};

const sizes = fc.record({
  N: fc.integer({ min: 1, max: 5 }),
  d: fc.integer({ min: 1, max: 6 }),
  o: fc.integer({ min: 1, max: 6 }),
  r: fc.integer({ min: 1, max: 4 }),
  seed: fc.nat(),
});

describe("scaling", () => {
  it.each([
    [16, 8, false, 2],
    [8, 3, false, 8 / 3],
    [8, 4, true, 4],
    [16, 64, true, 2],
  ])("α %d at rank %d, rank-stabilised %s, is %d", (alpha, rank, stabilised, expected) =>
    expect(scalingOf(alpha, rank, stabilised)).toBeCloseTo(expected, 12),
  );
});

describe("LoRALayer", () => {
  it("computes h = xW + s(xA)B, the paper's equation 3, element by element", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ N, d, o, r, seed }) => {
        const [x, W, A, B] = [values(N * d, seed), values(o * d, seed + 1), values(d * r, seed + 2), values(r * o, seed + 3)];
        const s = scalingOf(2 * r + 1, r);
        const layer = new LoRALayer(input("A", [d, r]), input("B", [r, o]), s);
        const X = input("x", [N, d]);
        const graph = program({ h: layer.adapt(X, matmul(X, input("W", [o, d]), { transposeB: true })) });
        const executable = await referenceBackend().compile(graph);
        const { h } = await executable.run({ x: f32(x, [N, d]), W: f32(W, [o, d]), A: f32(A, [d, r]), B: f32(B, [r, o]) });
        for (let n = 0; n < N; n++)
          for (let j = 0; j < o; j++) {
            let expected = 0;
            for (let i = 0; i < d; i++) {
              expected += x[n * d + i] * W[j * d + i];
              for (let k = 0; k < r; k++) expected += s * x[n * d + i] * A[i * r + k] * B[k * o + j];
            }
            expect((h as HostTensor).data[n * o + j]).toBeCloseTo(expected, 3);
          }
      }),
      { numRuns: 30 },
    );
  });

  it("gives W back after merge and unmerge, and the same output merged and unmerged", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async ({ N, d, o, r, seed }) => {
        const feeds = {
          x: f32(values(N * d, seed), [N, d]),
          W: f32(values(o * d, seed + 1), [o, d]),
          A: f32(values(d * r, seed + 2), [d, r]),
          B: f32(values(r * o, seed + 3), [r, o]),
        };
        const [X, W] = [input("x", [N, d]), input("W", [o, d])];
        const layer = new LoRALayer(input("A", [d, r]), input("B", [r, o]), 0.5);
        const merged = layer.merge(W);
        const graph = program({
          beside: layer.adapt(X, matmul(X, W, { transposeB: true })),
          folded: matmul(X, merged, { transposeB: true }),
          back: layer.unmerge(merged),
        });
        const results = await (await referenceBackend().compile(graph)).run(feeds);
        const data = (name: string): Float32Array => (results[name] as HostTensor).data as Float32Array;
        data("back").forEach((value, index) => expect(Math.abs(value - Number(feeds.W.data[index]))).toBeLessThan(1e-5));
        data("beside").forEach((value, index) => expect(Math.abs(value - data("folded")[index])).toBeLessThan(1e-4));
      }),
      { numRuns: 30 },
    );
  });

  it("refuses factors that do not share a rank", () => {
    expect(() => new LoRALayer(input("A", [8, 2]), input("B", [3, 8]), 1)).toThrow(
      "A [8, 2] and B [3, 8] do not share a rank. A is (d_in, r) and B is (r, d_out).",
    );
  });
});
