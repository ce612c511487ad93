/** @file The same seed gives the same bytes, another seed others, on ONNX Runtime with two threads. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { workshop } from "./material.ts";
import { succeed, type Flags } from "./program.ts";
import { adapter, prepare } from "./recipe.ts";
import { result } from "./snapshot.ts";

const folder = workshop();
const recipe = { ...(await prepare(folder)), maxSteps: 6 };

describe.each<[string, string, Flags, string]>([
  ["LoRA with dropout", "train", adapter, "adapter_model.safetensors"],
  ["LoRA on packed rows", "train", { rank: 2, pack: true, optimiser: "sgd" }, "adapter_model.safetensors"],
  ["full fine-tuning", "train", { method: "full" }, "model.safetensors"],
  ["training from scratch", "pretrain", {}, "model.safetensors"],
])("%s", (name, command, given, file) => {
  it("is a function of the seed", async () => {
    const bytes = async (seed: number, round: number): Promise<string> => {
      const output = join(folder, `${name} ${seed} ${round}`);
      await succeed(command, { ...recipe, ...given, seed, output });
      return result(output)[file];
    };
    const first = await bytes(5, 1);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await bytes(5, 2)).toBe(first);
    expect(await bytes(6, 1)).not.toBe(first);
  });
});
