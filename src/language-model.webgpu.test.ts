/** @file A model on WebGPU from its first training step to its merged text, held against the same on the CPU. */
import { mkdtempSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scratchFolder } from "../test/scratch.ts";
import { loadModel, type LanguageModel, type TextOptions } from "./language-model.ts";
import type { WeightedAdapter } from "./lora/index.ts";
import type { BaseOptions } from "./models/index.ts";
import type { Device } from "./runtime/index.ts";

const assets = resolve(import.meta.dirname, "../assets");
const folder = scratchFolder();

const open = (device: Device, options: BaseOptions = {}): Promise<LanguageModel> =>
  loadModel(join(assets, "tiny"), { device, threads: 1, ...options });

interface Trained {
  readonly losses: readonly number[];
  /** Norms of the gradients. */
  readonly norms: readonly number[];
}

const train = async (device: Device, precision: BaseOptions): Promise<Trained> => {
  const model = await open(device, precision);
  const adapter = await model.attach({ r: 4, lora_alpha: 8 }, 3);
  const recipe = { maxSteps: 3, batchSize: 2, sequenceLength: 48, learningRate: 2e-2, output: mkdtempSync(join(folder, "run-")) };
  const [losses, norms]: [number[], number[]] = [[], []];
  for await (const event of model.train({ adapter, data: join(assets, "data/orders/train.jsonl"), ...recipe })) {
    if (event.type !== "step-end") continue;
    losses.push(event.loss);
    norms.push(event.gradientNorm);
  }
  await model.close();
  return { losses, norms };
};

const relative = (a: number, b: number): number => Math.abs(a - b) / b;

// On the CPU the products of the 8-bit and the 4-bit form round what they multiply with to 8 bits as well; here they do not.
// Later steps are further apart: AdamW divides gradients that are next to nothing by their size.
it.each<[string, BaseOptions, first: number, later: number]>([
  ["float32", {}, 1e-6, 1e-3],
  ["int8", { precision: "int8" }, 2e-2, 5e-2],
  ["int4", { precision: "int4" }, 2e-2, 5e-2],
  ["nf4", { precision: "nf4" }, 1e-6, 1e-3],
])("training over a base in %s goes as on the CPU", async (_, precision, first, later) => {
  const [here, there] = [await train("webgpu", precision), await train("cpu", precision)];
  expect(here.losses).toHaveLength(3);
  for (const which of ["losses", "norms"] as const)
    for (const [step, value] of here[which].entries())
      expect(relative(value, there[which][step]), `${which}, step ${step + 1}`).toBeLessThan(step === 0 ? first : later);
});

describe("text", () => {
  const models: Partial<Record<Device, LanguageModel>> = {};
  beforeAll(async () => {
    for (const device of ["cpu", "webgpu"] as const) models[device] = await open(device);
  });
  afterAll(async () => {
    for (const model of Object.values(models)) await model.close();
  });

  const write = async (device: Device, options: (adapters: readonly WeightedAdapter[]) => TextOptions): Promise<string> => {
    const model = models[device]!;
    const adapter = await model.loadAdapter(join(assets, "adapters/pirate"));
    let text = "";
    for await (const piece of model.generate("Once upon a time", {
      temperature: 0,
      maxTokens: 24,
      ...options([{ ...adapter, weight: 1 }]),
    }))
      text += piece;
    return text;
  };

  it.each<[string, (adapters: readonly WeightedAdapter[]) => TextOptions]>([
    ["of the base", () => ({})],
    ["with an adapter beside it", (adapters) => ({ adapters })],
    ["with an adapter folded in", (adapters) => ({ adapters, merge: true })],
    ["guessed ahead", (adapters) => ({ adapters, speculate: 3 })],
  ])("%s is the same as on the CPU", async (_, options) => {
    const [here, there] = [await write("webgpu", options), await write("cpu", options)];
    expect(there.length).toBeGreaterThan(20);
    expect(here).toBe(there);
  });

  it("in batches whose rows have adapters of their own is the same as on the CPU", async () => {
    const requests = [
      { prompt: "Once upon a time" },
      { prompt: "The cat", adapters: [{ adapter: join(assets, "adapters/pirate"), weight: 1 }] },
    ];
    const texts = (device: Device): Promise<string[]> => models[device]!.generateAll(requests, { temperature: 0, maxTokens: 12 });
    expect(await texts("webgpu")).toEqual(await texts("cpu"));
  });
});
