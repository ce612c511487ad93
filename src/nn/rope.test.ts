import { describe, expect, it } from "vitest";
import { cast, constant, input, program, type Tensor } from "../graph/index.ts";
import { referenceBackend } from "../runtime/index.ts";
import { f32, i32, roundTo, type HostTensor } from "../util/index.ts";
import { roundedRope, ropeTables, ropeWith, turn } from "./rope.ts";

const factors = { short_factor: [1, 1.1, 1.2, 1.3], long_factor: [1, 2, 4, 8], original_max_position_embeddings: 16 };
const settingsOf = (scaling: Record<string, unknown> | null) => ({ theta: 10_000, scaling, dimensions: 8, maxPositions: 32 });

describe("frequencies", () => {
  // Figures of transformers 5.18, ROPE_INIT_FUNCTIONS, for a head of 8 and 32 positions.
  it.each([
    { scaling: null, length: 8, frequencies: [1, 0.1, 0.01, 0.001], magnitude: 1 },
    {
      scaling: { type: "linear", factor: 4 },
      length: 8,
      frequencies: [0.25, 0.0250000004, 0.00249999994, 0.000250000012],
      magnitude: 1,
    },
    { scaling: { type: "dynamic", factor: 2 }, length: 20, frequencies: [1, 0.1, 0.01, 0.001], magnitude: 1 },
    {
      scaling: { type: "dynamic", factor: 2 },
      length: 48,
      frequencies: [1, 0.0793700516, 0.00629960513, 0.000500000024],
      magnitude: 1,
    },
    {
      scaling: { type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 128 },
      length: 8,
      frequencies: [1, 0.0427511781, 0.00124999997, 0.000125000006],
      magnitude: 1,
    },
    {
      scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 64 },
      length: 8,
      frequencies: [1, 0.0625, 0.00249999994, 0.000250000012],
      magnitude: 1.138629436111989,
    },
    {
      scaling: {
        type: "yarn",
        factor: 4,
        original_max_position_embeddings: 1024,
        beta_fast: 24.5,
        beta_slow: 0.5,
        truncate: false,
        mscale: 0.7,
        mscale_all_dim: 1.3,
      },
      length: 8,
      frequencies: [1, 0.0921438485, 0.00477702869, 0.000250000012],
      magnitude: 0.9295234923939468,
    },
    {
      scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 64, attention_factor: 1.5 },
      length: 8,
      frequencies: [1, 0.0625, 0.00249999994, 0.000250000012],
      magnitude: 1.5,
    },
    {
      scaling: { type: "longrope", ...factors },
      length: 16,
      frequencies: [1, 0.0909090936, 0.00833333284, 0.00076923077],
      magnitude: 1.118033988749895,
    },
    {
      scaling: { type: "longrope", ...factors },
      length: 17,
      frequencies: [1, 0.0500000007, 0.00249999994, 0.000125000006],
      magnitude: 1.118033988749895,
    },
  ])("of $scaling for $length tokens", ({ scaling, length, frequencies, magnitude }) => {
    const rope = ropeWith(settingsOf(scaling));
    const ours = rope.frequencies(length);
    frequencies.forEach((frequency, pair) => expect(ours[pair] / frequency).toBeCloseTo(1, 6));
    expect(rope.magnitude).toBeCloseTo(magnitude, 12);
  });

  it.each([
    { scaling: { type: "ntk" }, message: /"ntk" is not offered; known: .*longrope/ },
    { scaling: { type: "linear" }, message: /"factor" is missing/ },
    { scaling: { type: "longrope", ...factors, long_factor: [1, 2] }, message: /"long_factor" must be a list of 4 numbers/ },
  ])("of $scaling are refused", ({ scaling, message }) => {
    expect(() => ropeWith(settingsOf(scaling))).toThrow(message);
  });
});

describe("frequencies rounded to 16 bits", () => {
  // Figures of torch.tensor(…).to(dtype).float().
  it.each([
    { half: "bf16" as const, rounded: [1, 0.10009765625, 0.010009765625, 0.00099945068359375] },
    { half: "f16" as const, rounded: [1, 0.0999755859375, 0.01000213623046875, 1049 * 2 ** -20] },
  ])("are $rounded in $half", ({ half, rounded }) => {
    const rope = ropeWith(settingsOf(null));
    expect([...roundedRope(rope, half).frequencies(8)]).toEqual(rounded);
    expect([...rope.frequencies(8)]).not.toEqual(rounded);
  });

  it.each([
    { type: "dynamic", factor: 2, boundary: 32 },
    { type: "longrope", ...factors, boundary: 16 },
  ])("are those that it starts with, not those of longer sequences: $type", ({ boundary, ...scaling }) => {
    const rope = ropeWith(settingsOf(scaling));
    const rounded = roundedRope(rope, "bf16");
    expect(rounded.frequencies(boundary)).toEqual(roundTo("bf16", rope.frequencies(boundary)));
    expect(rounded.frequencies(boundary)).not.toEqual(rope.frequencies(boundary));
    expect(rounded.frequencies(boundary + 1)).toEqual(rope.frequencies(boundary + 1));
  });
});

const evaluate = async (build: (positions: Tensor) => Record<string, Tensor>, positions: number[]) => {
  const at = cast(input("positions", [1, positions.length], "i32"), "i64");
  const executable = await referenceBackend().compile(program(build(at)));
  const result = (await executable.run({ positions: i32(positions, [1, positions.length]) })) as Record<string, HostTensor>;
  return Object.fromEntries(Object.entries(result).map(([name, { data }]) => [name, Array.from(data, Number)]));
};

describe("tables", () => {
  const rope = ropeWith(settingsOf({ type: "longrope", ...factors }));

  it.each([
    { positions: [0, 15], length: 16 },
    { positions: [0, 16], length: 17 },
  ])("follow the greatest of the positions $positions", async ({ positions, length }) => {
    const { cos, sin } = await evaluate((at) => ({ ...ropeTables(rope, at, 20) }), positions);
    const frequency = rope.frequencies(length)[3];
    expect(cos[19 * 4 + 3]).toBeCloseTo(Math.cos(19 * frequency) * rope.magnitude, 6);
    expect(sin[19 * 4 + 3]).toBeCloseTo(Math.sin(19 * frequency) * rope.magnitude, 6);
  });

  it("turn the first dimensions of a head and leave the rest", async () => {
    const narrow = ropeWith({ ...settingsOf(null), dimensions: 2 });
    const x = constant(f32([1, 0, 5, 6], [1, 1, 1, 4]));
    const { y } = await evaluate((at) => ({ y: turn(x, at, ropeTables(narrow, at, 4)) }), [3]);
    [Math.cos(3), Math.sin(3), 5, 6].forEach((value, index) => expect(y[index]).toBeCloseTo(value, 6));
  });
});
