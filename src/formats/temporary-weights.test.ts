import { existsSync, mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { f32, type HostTensor } from "../util/index.ts";
import type { RoundedTensor } from "./rounded-weights.ts";
import { temporaryWeights } from "./temporary-weights.ts";
import { readTensor } from "./safetensors.ts";

const bytes: HostTensor = { dtype: "u8", shape: [3], data: Uint8Array.of(0, 1, 2, 3).subarray(1) };

describe("temporary weights", () => {
  it("can be read until they are disposed of", async () => {
    const matrix = f32([1, 2, 3, 4], [2, 2]);
    const made = (name: string, tensor: HostTensor): RoundedTensor => ({ name, ...tensor, make: () => Promise.resolve(tensor) });
    const { locations, dispose } = await temporaryWeights([made("a", bytes), made("b", matrix), made("c", bytes)]);
    expect(["b", "a", "c"].map((name) => locations.get(name)!.offset)).toEqual([0, 16, 19]);
    expect(await readTensor(locations.get("a")!)).toEqual({ ...bytes, data: Uint8Array.of(1, 2, 3) });
    expect(await readTensor(locations.get("b")!)).toEqual(matrix);
    await dispose();
    expect(existsSync(dirname(locations.get("a")!.path))).toBe(false);
  });

  it("leave nothing behind where one cannot be made", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
    vi.stubEnv("TMPDIR", folder);
    const failing = (): Promise<HostTensor> => Promise.reject(new Error("cannot be made"));
    await expect(temporaryWeights([{ name: "a", dtype: "f32", shape: [1], make: failing }])).rejects.toThrow("cannot be made");
    vi.unstubAllEnvs();
    expect(readdirSync(folder)).toEqual([]);
    rmdirSync(folder);
  });
});
