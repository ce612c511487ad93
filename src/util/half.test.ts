import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromBf16, fromF16, narrowBf16, narrowF16, toBf16, toF16, widenBf16, widenF16 } from "./half.ts";

const patterns = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

interface Format {
  name: string;
  to: (value: number) => number;
  from: (bits: number) => number;
  widen: (source: Uint16Array) => Float32Array;
  narrow: (source: Float32Array) => Uint16Array;
  fractionBits: number;
  smallestExponent: number;
  largest: number;
}

const formats: Format[] = [
  {
    name: "binary16",
    to: toF16,
    from: fromF16,
    widen: widenF16,
    narrow: narrowF16,
    fractionBits: 10,
    smallestExponent: -14,
    largest: 65_504,
  },
  {
    name: "bfloat16",
    to: toBf16,
    from: fromBf16,
    widen: widenBf16,
    narrow: narrowBf16,
    fractionBits: 7,
    smallestExponent: -126,
    largest: (2 - 2 ** -7) * 2 ** 127,
  },
];

/** Rounds by arithmetic alone: the value in units of the last place, ties to the even multiple. */
const rounded = (value: number, { fractionBits, smallestExponent, largest }: Format): number => {
  const magnitude = Math.abs(value);
  let exponent = smallestExponent;
  while (2 ** (exponent + 1) <= magnitude && exponent < 127) exponent++;
  const unit = 2 ** (exponent - fractionBits);
  const below = Math.floor(magnitude / unit);
  const rest = magnitude / unit - below;
  const multiple = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  const result = multiple * unit > largest ? Infinity : multiple * unit;
  return value < 0 || Object.is(value, -0) ? -result : result;
};

describe.each(formats)("$name", (format) => {
  const { to, from, widen, narrow } = format;

  it("keeps all 65,536 patterns", () => {
    const values = widen(patterns);
    const wrong = [...patterns].filter((bits) => {
      const value = from(bits);
      if (!Object.is(values[bits], value)) return true;
      return Number.isNaN(value) ? !Number.isNaN(from(to(value))) : to(value) !== bits || Math.fround(value) !== value;
    });
    expect(wrong).toEqual([]);
    const finite = patterns.filter((bits) => !Number.isNaN(from(bits)));
    expect(narrow(widen(finite))).toEqual(finite);
  });

  it("rounds to nearest, ties to even", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        expect(from(to(value))).toBe(rounded(value, format));
      }),
      { numRuns: 2000 },
    );
  });

  it("rounds halfway between all neighbours to the even one, and just beside it to the nearer", () => {
    const above = format.name === "binary16" ? 0x7bff : 0x7f7f; // the largest finite pattern
    const wrong: number[] = [];
    for (let bits = 0; bits < above; bits++) {
      const low = from(bits);
      const high = from(bits + 1);
      const middle = low + (high - low) / 2;
      const nudge = (high - low) * 2 ** -13;
      const even = bits % 2 === 0 ? bits : bits + 1;
      // bfloat16 subnormals end where float32 ends: no float32 lies beside their middle.
      const beside = Math.fround(middle - nudge) === middle - nudge && Math.fround(middle + nudge) === middle + nudge;
      if (to(middle) !== even || (beside && (to(middle - nudge) !== bits || to(middle + nudge) !== bits + 1))) wrong.push(bits);
    }
    expect(wrong).toEqual([]);
  });
});

describe("known values", () => {
  it.each([
    [0, 0x0000, 0x0000],
    [-0, 0x8000, 0x8000],
    [1, 0x3c00, 0x3f80],
    [-2, 0xc000, 0xc000],
    [1 / 3, 0x3555, 0x3eab],
    [65_504, 0x7bff, 0x4780],
    [65_519, 0x7bff, 0x4780], // below the middle of 65504 and 65536
    [65_520, 0x7c00, 0x4780], // the middle: away to infinity
    [2 ** -14, 0x0400, 0x3880],
    [2 ** -24, 0x0001, 0x3380], // the smallest binary16
    [2 ** -25, 0x0000, 0x3300], // half of it: to even
    [2 ** -25 * (1 + 2 ** -23), 0x0001, 0x3300],
    [3 * 2 ** -25, 0x0002, 0x33c0],
    [1 + 2 ** -11, 0x3c00, 0x3f80], // a tie of binary16
    [1 + 3 * 2 ** -11, 0x3c02, 0x3f80],
    [1 + 2 ** -8, 0x3c04, 0x3f80], // a tie of bfloat16
    [1 + 3 * 2 ** -8, 0x3c0c, 0x3f82],
    [2 ** -149, 0x0000, 0x0000],
    [2 ** -133, 0x0000, 0x0001], // the smallest bfloat16
    [Infinity, 0x7c00, 0x7f80],
    [-Infinity, 0xfc00, 0xff80],
    [3.4028234663852886e38, 0x7c00, 0x7f80], // the largest float32
    [NaN, 0x7e00, 0x7fc0],
  ])("%d", (value, half, brain) => {
    expect([toF16(value).toString(16), toBf16(value).toString(16)]).toEqual([half.toString(16), brain.toString(16)]);
  });

  it("keeps a NaN whose payload lies in the bits that are cut", () => {
    const [nan] = new Float32Array(Uint32Array.of(0x7f800001).buffer);
    expect([fromF16(toF16(nan)), fromBf16(toBf16(nan))]).toEqual([NaN, NaN]);
  });
});
