import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { listSupportedBackends } from "onnxruntime-node";
import { afterAll, describe, expect, it, vi } from "vitest";
import { lowrank, oneLine } from "./command.fixture.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-"));
const cache = join(folder, "cache");
const output = join(folder, "run");
// Whatever drivers there are, the loader finds none.
vi.stubEnv("VK_ICD_FILENAMES", join(folder, "none.json"));
vi.stubEnv("LOWRANK_CACHE", cache);
afterAll(() => {
  rmSync(folder, { recursive: true });
  vi.unstubAllEnvs();
});

const assets = resolve(import.meta.dirname, "../../../assets");
const train = ["train", "--model", join(assets, "tiny"), "--data", join(assets, "data/orders/train.jsonl"), "--output", output];
const hasCuda = listSupportedBackends().some(({ name, bundled }) => name === "cuda" && bundled);
const absent: readonly (readonly [device: string, isHere: boolean, error: RegExp])[] = [
  ["webgpu", process.platform !== "linux", /^error: There is no WebGPU adapter: .*Vulkan.*, or use --device cpu\.$/],
  ["cuda", hasCuda, /^error: CUDA cannot be used: .*onnxruntime-node-install=cuda12.* cuDNN 9 .*, or use --device cpu\.$/],
];

describe.each(absent)("--device %s, where it is not there", (device, isHere, error) => {
  it.skipIf(isHere).each([
    ["train", [...train, "--base-precision", "int8"]],
    ["generate", ["generate", "Once"]],
    ["merge", ["merge", "--model", join(assets, "tiny"), "--adapter", join(assets, "adapters/pirate"), "--output", output]],
    ["verify", ["verify", resolve(assets, "../test/golden/llama.all-linear")]],
  ])("%s says what to install, and has written nothing", async (_, words) => {
    const said = await lowrank([...words, "--device", device]);
    expect(said.code).toBe(1);
    expect(said.stdout).toBe("");
    expect(oneLine(said.stderr)).toMatch(error);
    expect(existsSync(output)).toBe(false);
    expect(existsSync(cache) ? readdirSync(cache) : []).toEqual([]);
  });
});
