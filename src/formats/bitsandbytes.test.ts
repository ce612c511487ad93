/** @file Files in bitsandbytes' 4 bits, made by hand, against the values that its formula gives. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { packedByHand } from "../../test/bitsandbytes.ts";
import { f32, random, roundTo, type HostTensor } from "../util/index.ts";
import { unpackedChunks } from "./bitsandbytes.ts";
import { openCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { tensorSources } from "./safetensors-write.ts";
import { readTensor, readTensorF32 } from "./safetensors.ts";
import { prepareWeights } from "./weights.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-bitsandbytes-"));
  vi.stubEnv("LOWRANK_CACHE", join(folder, "cache"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const name = "model.layers.0.mlp.up_proj.weight";
const quantization = { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" };
const generator = random(3);
const matrix = (rows: number, columns: number): HostTensor =>
  f32(
    Float32Array.from({ length: rows * columns }, () => generator.normal() * 0.02),
    [rows, columns],
  );

const opened = async (
  tensors: ReadonlyMap<string, HostTensor>,
  config: Record<string, unknown> = { quantization_config: quantization },
) => {
  await writeCheckpoint(folder, { config, tensors: tensorSources(new Map([...tensors, ["norm.weight", f32([1, 2])]])) });
  return openCheckpoint(folder);
};

describe("a checkpoint in bitsandbytes' 4 bits", () => {
  it.each([
    ["float32", "f32", false],
    ["float16", "f16", false],
    ["bfloat16", "bf16", true],
    ["float32", "f32", true],
  ] as const)("has the values of map[level]·absmax in %s, scales packed: %s %s", async (typeName, dtype, isNested) => {
    const W = matrix(210, 96);
    const { tensors, values } = packedByHand(name, W, typeName, isNested);
    const checkpoint = await opened(tensors);
    expect([...checkpoint.tensors.keys()].sort()).toEqual([name, "norm.weight"]);
    expect(checkpoint.config).toEqual({});
    const location = checkpoint.tensors.get(name)!;
    expect(location).toMatchObject({ dtype, shape: [210, 96], bytes: 210 * 48 });
    const expected = dtype === "f32" ? values : roundTo(dtype, values);
    expect((await readTensorF32(location)).data).toEqual(expected);
    expect((await readTensor(location)).dtype).toBe(dtype);
    const prepared = (await prepareWeights(checkpoint)).get(name)!;
    expect(prepared.packed).toBeUndefined();
    expect((await readTensorF32(prepared)).data).toEqual(expected);
    // Levels are 16 steps of the block's largest size; packed scales add what 8 bits leave of them.
    const largest = Math.max(...values.map((value, index) => Math.abs(value - (W.data as Float32Array)[index])));
    expect(largest).toBeLessThan(0.16 * 0.1);
    expect(largest).toBeGreaterThan(1e-4);
  });

  it("is read in pieces that end within blocks", async () => {
    const { tensors, values } = packedByHand(name, matrix(7, 15), "float32", false);
    const location = (await opened(tensors)).tensors.get(name)!;
    const pieces: number[] = [];
    for await (const chunk of unpackedChunks({ ...location, packed: location.packed! }, 50)) pieces.push(...new Float32Array(chunk.buffer));
    expect(pieces).toEqual([...values]);
  });

  it("keeps the configuration's word about another packing", async () => {
    const { tensors } = packedByHand(name, matrix(2, 64), "float32", false);
    expect((await opened(tensors, { quantization_config: { quant_method: "gptq" } })).config).toHaveProperty("quantization_config");
  });

  const packed = packedByHand(name, matrix(4, 64), "float16", true).tensors;
  const state = `${name}.quant_state.bitsandbytes__nf4`;
  const stateOf = (change: object): HostTensor => {
    const value = JSON.parse(new TextDecoder().decode(packed.get(state)!.data)) as object;
    const data = new TextEncoder().encode(JSON.stringify({ ...value, ...change }));
    return { dtype: "u8", shape: [data.length], data };
  };

  it.each<[string, (tensors: Map<string, HostTensor>) => void, string]>([
    ["a weight", (tensors) => tensors.delete(name), "Its packed weight is missing."],
    ["scales", (tensors) => tensors.delete(`${name}.absmax`), "Its absmax is missing."],
    ["levels", (tensors) => tensors.set(`${name}.quant_map`, f32([1, 2])), "Its quant_map is f32 [2] where 16 of f32 are needed."],
    ["a shape", (tensors) => tensors.set(state, stateOf({ shape: [-4, 64] })), "Its quant_state has no shape."],
    [
      "another shape",
      (tensors) => tensors.set(state, stateOf({ shape: [8, 64] })),
      "Its packed weight is u8 [128, 1] where 256 of u8 are needed.",
    ],
    [
      "a type",
      (tensors) => tensors.set(state, stateOf({ dtype: "int4" })),
      'Its quant_state has the dtype "int4"; known: float32, float16, bfloat16.',
    ],
    ["a block size", (tensors) => tensors.set(state, stateOf({ blocksize: 0 })), "Its quant_state has no blocksize."],
    ["an offset", (tensors) => tensors.set(state, stateOf({ nested_offset: null })), "has no nested_blocksize or nested_offset"],
    ["JSON", (tensors) => tensors.set(state, { dtype: "u8", shape: [1], data: Uint8Array.of(33) }), "Its quant_state is not valid JSON"],
  ])("without %s is refused with the tensor's name", async (_, damage, message) => {
    const tensors = new Map(packed);
    damage(tensors);
    const error = await opened(tensors).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "invalid-file", message: expect.stringContaining(message) as string });
    expect((error as Error).message).toContain(name);
  });
});
