import { cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { readPeftAdapter, readSafetensorsHeader, readTensor, tensorSources, writePeftAdapter, writeSafetensors } from "../formats/index.ts";
import { ortBackend } from "../runtime/index.ts";
import type { HostTensor } from "../util/index.ts";
import { verifyGolden } from "./verify.ts";

const goldens = resolve(import.meta.dirname, "../../test/golden");

let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

/** The figures that decide, and how many gradients there were. */
const judge = async (directory: string) => {
  const { logits, gradients, losses, norms } = await verifyGolden(backend, directory);
  return {
    logits: Math.max(...Object.values(logits)),
    gradient: Math.max(...Object.values(gradients)),
    loss: Math.max(...losses),
    norm: Math.max(...norms),
    counts: [Object.keys(gradients).length, losses.length, norms.length],
  };
};

const holds = async (directory: string, gradients: number): Promise<void> => {
  const { logits, gradient, loss, norm, counts } = await judge(directory);
  expect(counts).toEqual([gradients, 10, 10]);
  expect(logits).toBeLessThan(2e-4);
  expect(gradient).toBeLessThan(1e-3);
  expect(loss).toBeLessThan(1e-3);
  expect(norm).toBeLessThan(1e-3);
  expect(backend.held()).toEqual({ residents: 0, programs: 0 });
};

// Gradients: those of each target's tensors, and the whole tensors.
it.each([
  ["llama.all-linear", 28],
  ["gpt2.lora-bias", 12],
  ["llama.tokens", 5],
  ["llama.vera", 16],
  ["llama.adalora", 18],
  // Its experts are stacked in the checkpoint, and adapted with the router.
  ["mixtral.experts", 16],
  ["distilbert-cls.all-linear", 16],
  // An encoder of one layer that reads padding on the left, a decoder of two, and their biases by distance trained whole.
  ["t5.all-linear", 54],
])("PEFT's logits, gradients and AdamW steps are ours: the committed reference %s, %d gradients", (name, gradients) =>
  holds(join(goldens, name), gradients),
);

describe.skipIf(!hasShared)("PEFT's logits, gradients and AdamW steps are ours", () => {
  it.each([
    ["llama.all-linear", 28],
    ["llama.rslora", 28],
    // Saved as they were trained: what their starts took from the base is found again.
    ["llama.pissa", 12],
    ["llama.olora", 12],
    ["llama.patterns", 12],
    ["llama.layers", 8],
    ["llama.regex", 10],
    ["llama.save-norm", 9],
    ["llama3.qv", 8],
    ["llama.dora", 42],
    ["gpt2.dora", 24],
    ["llama.embed", 10],
    ["t5.qv-t5", 24],
  ])("%s, %d gradients", (name, gradients) => holds(sharedPath("goldens", name), gradients));
});

describe("what is wrong shows", () => {
  const copy = async (name = "llama.all-linear"): Promise<string> => {
    const directory = join(await mkdtemp(join(tmpdir(), "lowrank-golden-")), "golden");
    await cp(join(goldens, name), directory, { recursive: true });
    return directory;
  };

  it("in logits, gradients and losses, for an adapter that is not the one of the reference", async () => {
    const directory = await copy();
    const { config, tensors, metadata } = await readPeftAdapter(join(directory, "adapter"));
    const changed = new Map(tensors);
    const { shape, data } = tensors.get("model.layers.1.mlp.down_proj.lora_B")!;
    changed.set("model.layers.1.mlp.down_proj.lora_B", {
      dtype: "f32",
      shape,
      data: Float32Array.from(data as Float32Array, (value) => 1.5 * value),
    });
    await writePeftAdapter(join(directory, "adapter"), { config, tensors: changed, metadata });
    const { logits, gradients, losses } = await verifyGolden(backend, directory);
    expect(logits.base).toBeLessThan(2e-4);
    expect(logits.adapter).toBeGreaterThan(2e-4);
    expect(logits.merged).toBeGreaterThan(2e-4);
    expect(gradients["model.layers.1.mlp.down_proj.lora_A"]).toBeGreaterThan(0.1);
    expect(losses[0]).toBeGreaterThan(1e-4);
  });

  const recorded = async (directory: string, change: (tensors: Map<string, HostTensor>) => void): Promise<void> => {
    const path = join(directory, "golden.safetensors");
    const { tensors: locations } = await readSafetensorsHeader(path);
    const tensors = new Map<string, HostTensor>();
    for (const [name, location] of locations) tensors.set(name, await readTensor(location));
    change(tensors);
    await writeSafetensors(path, tensorSources(tensors));
  };
  const gradient = "grad.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

  it("of an encoder–decoder as a share of the largest logit", async () => {
    const directory = await copy("t5.all-linear");
    await recorded(directory, (tensors) => {
      const { data } = tensors.get("logits_base")!;
      (data as Float32Array)[0] = 80;
    });
    const { logits } = await verifyGolden(backend, directory);
    expect(logits.base).toBeGreaterThan(0.9);
    expect(logits.base).toBeLessThan(1.1);
  });

  it.each<[string, (tensors: Map<string, HostTensor>) => void, string, string]>([
    [
      "a gradient",
      (tensors) => void tensors.delete(gradient),
      "adapter-mismatch",
      'The reference has no gradient for "model.layers.0.self_attn.q_proj.lora_A".',
    ],
    ["logits", (tensors) => void tensors.delete("logits_base"), "not-found", 'The reference has no tensor "logits_base".'],
    [
      "its adapter's place",
      (tensors) => void tensors.set(gradient.replace("layers.0", "layers.7"), tensors.get(gradient)!),
      "adapter-mismatch",
      "and the adapter no such parameter.",
    ],
  ])("by name, where a reference lacks %s", async (_, change, code, message) => {
    const directory = await copy();
    await recorded(directory, change);
    const error = await verifyGolden(backend, directory).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
  });
});
