import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromF16 } from "../util/index.ts";
import { decodeGguf, encodeGguf } from "./gguf-blocks.ts";

const block = (...values: readonly number[]): Float32Array => Float32Array.from({ length: 32 }, (_, index) => values[index] ?? 0);
const quants = (bytes: Uint8Array): number[] => [...new Int8Array(bytes.buffer, bytes.byteOffset + 2, 32)];
const step = (bytes: Uint8Array): number => fromF16(new DataView(bytes.buffer).getUint16(bytes.byteOffset, true));

describe("Q8_0", () => {
  it.each<[string, Float32Array, number[], number]>([
    ["the largest at ±127", block(127, -127, 1, -1), [127, -127, 1, -1], 1],
    ["halves rounded away from zero", block(127, 0.5, -0.5, 1.5, -2.5, 0.49), [127, 1, -1, 2, -3, 0], 1],
    ["a step of its own for each block", block(-254, 2), [-127, 1], 2],
    ["zeros", block(), [], 0],
  ])("has %s", (_, values, expected, size) => {
    const bytes = encodeGguf(values, "q8_0", "x");
    expect(bytes.length).toBe(34);
    expect(quants(bytes)).toEqual([...block(...expected)]);
    expect(step(bytes)).toBe(size);
  });

  it("is off by half a step and the step's own rounding at most", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true, min: -1000, max: 1000 }), { minLength: 64, maxLength: 64 }), (numbers) => {
        const values = Float32Array.from(numbers);
        const restored = decodeGguf(encodeGguf(values, "q8_0", "x"), "q8_0");
        for (const first of [0, 32]) {
          const part = values.subarray(first, first + 32);
          const largest = Math.max(...part.map(Math.abs));
          // The step is rounded to a float16: by 2⁻¹¹ of it, or by 2⁻²⁵ where it is tiny.
          const bound = largest / 254 + largest * 2 ** -11 + 127 * 2 ** -25;
          for (const [index, value] of part.entries()) expect(Math.abs(restored[first + index] - value)).toBeLessThanOrEqual(bound * 1.001);
        }
      }),
    );
  });
});

describe("floats", () => {
  it.each(["f32", "f16", "bf16"] as const)("come back from %s as they are where it holds them", (type) => {
    const values = Float32Array.from([0, -0, 1, -2, 0.375, 2 ** -14, 60_416]);
    expect(decodeGguf(encodeGguf(values, type, "x"), type)).toEqual(values);
  });
});
