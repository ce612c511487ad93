import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel, type LanguageModel, type TrainOptions } from "../src/language-model.ts";
import type { StoredAdapter } from "../src/lora/index.ts";
import { openBase } from "../src/models/index.ts";
import type { EvalEnd, StepEnd, TrainEvent } from "../src/train/index.ts";
import { largestDifference, logitsAfter } from "./model-logits.ts";
import { tinyT5 } from "./tiny-model.ts";

const toys = ["red ball", "blue kite", "small boat", "green car", "old drum", "soft bear"];
const rows = toys.map((toy) => ({ prompt: `Once upon a time Mia had a ${toy}.`, completion: `She plays with the ${toy}.` }));

let folder: string;
let model: LanguageModel;
let data: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-seq2seq-"));
  process.env["LOWRANK_CACHE"] = join(folder, "cache");
  data = join(folder, "train.jsonl");
  await writeFile(data, rows.map((row) => JSON.stringify(row)).join("\n"));
  model = await loadModel(await tinyT5({ num_decoder_layers: 1 }), { threads: 1 });
});
afterAll(() => model.close());

/** Trains a fresh adapter, up to a step where that is given. */
const trained = async (
  run: string,
  { stopAfter, ...options }: Partial<TrainOptions> & { stopAfter?: number } = {},
): Promise<TrainEvent[]> => {
  const controller = new AbortController();
  const adapter = await model.attach({ r: 8, lora_alpha: 16, target_modules: ["q", "v", "wo"] }, 3);
  const recipe = { data, evalData: data, output: join(folder, run), adapter, epochs: 10, batchSize: 3, learningRate: 2e-2, seed: 5 };
  const events: TrainEvent[] = [];
  for await (const event of model.train({ ...recipe, ...options, signal: controller.signal })) {
    events.push(event);
    if (event.type === "step-end" && event.step === stopAfter) controller.abort();
  }
  return events;
};

const written = async (prompt: string, adapters: readonly StoredAdapter[], merge = false): Promise<string> => {
  let text = "";
  const options = { adapters: adapters.map((stored) => ({ ...stored, weight: 1 })), merge, temperature: 0, maxTokens: 12 };
  for await (const piece of model.generate(prompt, options)) text += piece;
  return text;
};

describe("an encoder–decoder", () => {
  it("learns from prompts and completions, and an interrupted run goes on to the same bytes", async () => {
    const events = await trained("run");
    const steps = events.filter((event): event is StepEnd => event.type === "step-end");
    const evaluations = events.filter((event): event is EvalEnd => event.type === "eval-end");
    expect(steps).toHaveLength(20);
    expect(evaluations.at(-1)!.loss).toBeLessThan(0.7 * evaluations[0].loss);
    expect(steps.at(-1)!.loss).toBeLessThan(0.8 * steps[0].loss);

    await trained("broken", { stopAfter: 9 });
    await trained("broken", { resume: true });
    const bytesOf = (run: string) => readFile(join(folder, run, "adapter_model.safetensors"));
    expect(await bytesOf("broken")).toEqual(await bytesOf("run"));
  });

  it("writes something else with its adapter than without, and the same beside the weights, folded in and merged", async () => {
    const stored = await model.loadAdapter(join(folder, "run"));
    const [{ prompt }] = rows;
    const beside = await written(prompt, [stored]);
    expect(beside).not.toBe("");
    expect(beside).not.toBe(await written(prompt, []));
    expect(await written(prompt, [stored], true)).toBe(beside);

    await model.merge(join(folder, "merged"), [{ ...stored, weight: 1 }]);
    const ids = model.tokenizer.encode(prompt);
    const adapted = await logitsAfter(model.backend, model.base, ids, [{ ...stored, weight: 1 }]);
    const merged = await logitsAfter(model.backend, await openBase(join(folder, "merged")), ids);
    expect(largestDifference(adapted, await logitsAfter(model.backend, model.base, ids))).toBeGreaterThan(0.1);
    expect(largestDifference(adapted, merged)).toBeLessThan(1e-4);
  });
});
