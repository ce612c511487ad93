/**
 * @file From pairs of a better and a worse answer to a model that prefers the better ones, by DPO, ORPO or KTO.
 * Run it with `npx tsx examples/04-prefer.ts`; it takes a minute and writes to a temporary folder. Other losses, models and pairs:
 * `npx tsx examples/04-prefer.ts --loss kto --model MODEL --pairs pairs.jsonl --rate 1e-3 --epochs 1`.
 */
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readRows } from "../src/data/index.ts";
import { dpo, kto, loadModel, orpo, type Loss, type TextOptions, type WeightedAdapter } from "../src/index.ts";

const root = join(import.meta.dirname, "..");
const output = await mkdtemp(join(tmpdir(), "lowrank-example-"));
const { values } = parseArgs({
  options: {
    loss: { type: "string", default: "dpo" },
    model: { type: "string", default: join(root, "assets/tiny") },
    pairs: { type: "string" },
    rate: { type: "string", default: "7e-4" },
    epochs: { type: "string", default: "4" },
    seed: { type: "string", default: "0" },
  },
});

// DPO and KTO hold the model against its base, which the same program runs with the adapter off. ORPO needs no base beside it:
// it learns the chosen answers, and the odds ratio sets them apart. KTO judges each answer by itself, so a pair becomes two rows.
const losses: Readonly<Record<string, Loss>> = { dpo: dpo({ beta: 0.1 }), orpo: orpo({ lambda: 1 }), kto: kto({ beta: 0.1 }) };

const model = await loadModel(values.model);

interface Pair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

const promptsIn = async (path: string): Promise<string[]> =>
  (await readFile(join(root, path), "utf8"))
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { prompt: string }).prompt);

/** What the model makes of prompts, by chance or by its best guess. */
const answers = async (prompts: readonly string[], options: TextOptions, adapters: readonly WeightedAdapter[] = []): Promise<string[]> => {
  const generator = await model.generator({ adapters, merge: true });
  const texts: string[] = [];
  for (const prompt of prompts) {
    let text = "";
    for await (const piece of generator.text(`${prompt}\n`, { maxTokens: 100, ...options, seed: texts.length })) text += piece;
    texts.push(text.trim());
  }
  await generator.close();
  return texts;
};

const beginning = /^(?:[^.!?]*[.!?]"?\s*){2}/;

/** Stories that the model writes, of which the first two sentences are the better answer, and the whole the worse one. */
const shortStories = async (prompts: readonly string[]): Promise<Pair[]> => {
  const whole = await answers(prompts, { temperature: 1 });
  return prompts.flatMap((prompt, index) => {
    const chosen = beginning.exec(whole[index])?.[0].trimEnd();
    return chosen === undefined ? [] : [{ prompt: `${prompt}\n`, chosen, rejected: whole[index] }];
  });
};
/** The rows of a file, in any of the forms that pairs come in. */
const pairsIn = async (path: string): Promise<object[]> => {
  const rows: object[] = [];
  for await (const { value } of readRows(path)) rows.push(value);
  return rows;
};

const tell = async (who: string, adapters: readonly WeightedAdapter[] = []): Promise<void> => {
  const texts = await answers(await promptsIn("assets/data/pirate/valid.jsonl"), { temperature: 0 }, adapters);
  const words = texts.join(" ").split(/\s+/).length / texts.length;
  console.log(`${who}: ${words.toFixed(1)} words per answer, such as: ${texts[0].replaceAll(/\s+/g, " ")}`);
};

// The last tenth is held out: what counts is what the model prefers among answers that it was not trained on.
const pairs =
  values.pairs === undefined ? await shortStories(await promptsIn("assets/data/pirate/train.jsonl")) : await pairsIn(values.pairs);
const kept = Math.ceil(pairs.length * 0.9);
const file = async (name: string, rows: readonly object[]): Promise<string> => {
  await writeFile(join(output, name), rows.map((row) => JSON.stringify(row)).join("\n"));
  return join(output, name);
};

const seed = Number(values.seed);
const adapter = await model.attach({ r: 8, lora_alpha: 16 }, seed);
await tell("base");

const events = model.train({
  adapter,
  data: await file("train.jsonl", pairs.slice(0, kept)),
  evalData: await file("valid.jsonl", pairs.slice(kept)),
  loss: losses[values.loss],
  output: join(output, "adapter"),
  epochs: Number(values.epochs),
  learningRate: Number(values.rate),
  warmupSteps: 10,
  sequenceLength: 256,
  seed,
});
for await (const event of events) {
  if (event.type === "data-ready") console.log(`${event.report.examples} examples, ${event.report.evaluationExamples} held out`);
  if (event.type === "step-end" && event.step % 10 === 0) console.log(`step ${event.step}: loss ${event.loss.toFixed(3)}`);
  if (event.type === "eval-end") {
    const { margin, accuracy, chosenReward, rejectedReward } = event.metrics;
    const figures = Object.entries({ loss: event.loss, margin, accuracy, chosen: chosenReward, rejected: rejectedReward });
    console.log(`held out after step ${event.step}: ${figures.map(([name, value]) => `${name} ${value.toFixed(3)}`).join(", ")}`);
  }
}
await tell("with the adapter", [{ ...adapter, weight: 1 }]);
await model.close();
