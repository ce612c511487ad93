/**
 * @file From a pretrained model to an adapter, and back to one model: load, attach, train, generate, save, merge.
 * Run it with `npx tsx examples/02-train-and-generate.ts`; it takes half a minute and writes to a temporary folder.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel, type LanguageModel, type TextOptions } from "../src/index.ts";

const root = join(import.meta.dirname, "..");
const data = join(root, "assets/data/weather");
const output = await mkdtemp(join(tmpdir(), "lowrank-example-"));

/** The whole text after a prompt; the iterator gives it piece by piece, as it is written. */
const write = async (model: LanguageModel, options: TextOptions = {}): Promise<string> => {
  let text = "";
  const prompt = "It was a cold night at the lake, and snow fell from the sky.";
  for await (const piece of model.generate(prompt, { temperature: 0, maxTokens: 40, ...options })) text += piece;
  return text.trim();
};

// A folder in Hugging Face's layout, or a name on its hub. The weights stay in their file and are mapped, not read.
const model = await loadModel(join(root, "assets/tiny"));
console.log(`base: ${await write(model)}\n`);

// A and B for every linear module, with PEFT's names for the settings. B starts at zero, so nothing has changed yet.
const adapter = await model.attach({ r: 16, lora_alpha: 32, target_modules: "all-linear" });

// Training is a stream of events. Rows have a prompt and a completion, and the loss is taken over the completions alone.
const events = model.train({
  adapter,
  data: join(data, "train.jsonl"),
  evalData: join(data, "valid.jsonl"),
  output: join(output, "adapter"),
  epochs: 8,
  learningRate: 5e-3,
  warmupSteps: 10,
});
for await (const event of events) {
  if (event.type === "run-start") console.log(`${event.plan.trainable} of ${event.plan.total} parameters, ${event.plan.steps} steps`);
  if (event.type === "step-end" && event.step % 40 === 0) console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`);
  if (event.type === "eval-end") console.log(`held out after step ${event.step}: ${event.loss.toFixed(3)}`);
}

// The folder is PEFT's: `PeftModel.from_pretrained(base, folder)` reads it as well. A weight other than 1 turns an adapter up or down.
const stored = await model.loadAdapter(join(output, "adapter"));
const beside = await write(model, { adapters: [{ ...stored, weight: 1 }] });
console.log(`\nwith the adapter: ${beside}`);

// Merged, W + s·A·B is one weight again: a model like any other, as fast as the base.
await model.merge(join(output, "merged"), [{ ...stored, weight: 1 }]);
await model.close();
const merged = await loadModel(join(output, "merged"));
console.log(`merged, it says ${(await write(merged)) === beside ? "the same" : "something else"}`);
await merged.close();
