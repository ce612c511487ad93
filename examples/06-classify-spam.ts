/**
 * @file From a model of stories to a classifier of text messages: LoRA on every linear layer beside full fine-tuning, a bag of words and the majority.
 * Run it with `npx tsx examples/06-classify-spam.ts --model MODEL --data SMSSpamCollection`; it takes a minute and writes to a temporary folder.
 * The data are the SMS Spam Collection of Almeida and Gómez Hidalgo (2011): a label, a tab and a message on each line.
 */
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadModel, type LanguageModel, type StoredAdapter } from "../src/index.ts";
import { permutation, random } from "../src/util/index.ts";

const shared = join(import.meta.dirname, "../../shared");
const output = await mkdtemp(join(tmpdir(), "lowrank-example-"));
const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(shared, "models/stories260k") },
    data: { type: "string", default: join(shared, "data/sms-spam/SMSSpamCollection") },
    epochs: { type: "string", default: "5" },
    seed: { type: "string", default: "0" },
  },
});
const sequenceLength = 256;
const [epochs, seed] = [Number(values.epochs), Number(values.seed)];

interface Message {
  readonly label: string;
  readonly text: string;
}
type Classify = (texts: readonly string[]) => Promise<readonly string[]>;

// As many messages of each class, in one order by one seed: 70 % to learn from, 10 % to choose by, 20 % to report once.
const labels = ["ham", "spam"];
const messages = (await readFile(values.data, "utf8"))
  .trim()
  .split("\n")
  .map((line): Message => ({ label: line.slice(0, line.indexOf("\t")), text: line.slice(line.indexOf("\t") + 1) }));
const generator = random(123);
const shuffled = (rows: readonly Message[]): Message[] => Array.from(permutation(rows.length, generator), (index) => rows[index]);
const [ham, spam] = labels.map((label) => messages.filter((message) => message.label === label));
const balanced = shuffled([...shuffled(ham).slice(0, spam.length), ...spam]);
const [trained, chosen] = [Math.floor(0.7 * balanced.length), Math.floor(0.1 * balanced.length)];
const parts = {
  train: balanced.slice(0, trained),
  validation: balanced.slice(trained, trained + chosen),
  test: balanced.slice(trained + chosen),
};
console.log(
  Object.entries(parts)
    .map(([part, { length }]) => `${part} ${length}`)
    .join(", "),
);

const accuracy = async (classify: Classify, rows: readonly Message[]): Promise<number> => {
  const answers = await classify(rows.map(({ text }) => text));
  return answers.filter((answer, index) => answer === rows[index].label).length / rows.length;
};
const report = async (name: string, classify: Classify): Promise<void> => {
  const figures: string[] = [];
  for (const [part, rows] of Object.entries(parts)) figures.push(`${part} ${(100 * (await accuracy(classify, rows))).toFixed(2)} %`);
  console.log(`${name}: ${figures.join(", ")}`);
};

// The least that anything must beat: always the class that is commoner among the messages to learn from.
const spamShare = parts.train.filter(({ label }) => label === "spam").length / parts.train.length;
const majority = labels[Number(spamShare > 0.5)];
await report("majority", (texts) => Promise.resolve(texts.map(() => majority)));

// A bag of words: how often each word of the training messages occurs, and logistic regression with the L2 that suits the validation messages.
const wordsOf = (text: string): readonly string[] => text.toLowerCase().match(/\p{L}+|\p{N}+/gu) ?? [];
const vocabulary = new Map([...new Set(parts.train.flatMap(({ text }) => wordsOf(text)))].map((word, index) => [word, index]));
const bagOf = (text: string): readonly number[] => wordsOf(text).flatMap((word) => vocabulary.get(word) ?? []);

/** Minimises Σ −log p(label) + l2/2·‖w‖² by Adam with rates that fall to zero. The last weight is the bias, which is free. */
const logisticRegression = (l2: number, steps = 1000): Float64Array => {
  const bias = vocabulary.size;
  const [w, mean, square] = Array.from({ length: 3 }, () => new Float64Array(bias + 1));
  const rows = parts.train.map(({ label, text }) => ({ bag: [...bagOf(text), bias], target: Number(label === "spam") }));
  for (let step = 1; step <= steps; step++) {
    const gradient = w.map((weight, index) => (index === bias ? 0 : l2 * weight));
    for (const { bag, target } of rows) {
      const error = 1 / (1 + Math.exp(-bag.reduce((sum, word) => sum + w[word], 0))) - target;
      for (const word of bag) gradient[word] += error;
    }
    for (let index = 0; index <= bias; index++) {
      mean[index] += 0.1 * (gradient[index] - mean[index]);
      square[index] += 0.001 * (gradient[index] ** 2 - square[index]);
      const direction = mean[index] / (1 - 0.9 ** step) / (Math.sqrt(square[index] / (1 - 0.999 ** step)) + 1e-8);
      w[index] -= 0.05 * (1 - step / (steps + 1)) * direction;
    }
  }
  return w;
};
const byWords =
  (w: Float64Array): Classify =>
  (texts) =>
    Promise.resolve(texts.map((text) => labels[Number(bagOf(text).reduce((sum, word) => sum + w[word], w[vocabulary.size]) > 0)]));
let bagOfWords = byWords(logisticRegression(10));
for (const l2 of [3, 1, 0.3, 0.1, 0.03, 0.01, 0.003]) {
  const candidate = byWords(logisticRegression(l2));
  if ((await accuracy(candidate, parts.validation)) > (await accuracy(bagOfWords, parts.validation))) bagOfWords = candidate;
}
await report("bag of words", bagOfWords);

for (const [part, rows] of Object.entries(parts))
  await writeFile(join(output, `${part}.jsonl`), rows.map((row) => JSON.stringify(row)).join("\n"));
const classifier = { labels, predicts: "classes" } as const;
const byModel =
  (model: LanguageModel, adapter?: StoredAdapter): Classify =>
  async (texts) => {
    const predictions = await model.classify(texts, {
      batchSize: 32,
      maxLength: sequenceLength,
      ...(adapter && { adapters: [{ ...adapter, weight: 1 }] }),
    });
    return predictions.map(({ label }) => label);
  };

/** Trains an adapter, or else every parameter, and gives back the folder with what was best on the validation messages. */
const train = async (model: LanguageModel, name: string, learningRate: number, adapter?: StoredAdapter): Promise<string> => {
  const folder = join(output, name);
  const events = model.train({
    ...(adapter && { adapter }),
    data: join(output, "train.jsonl"),
    evalData: join(output, "validation.jsonl"),
    output: folder,
    epochs,
    learningRate,
    schedule: "cosine",
    warmupSteps: 60,
    sequenceLength,
    evalEvery: Math.ceil(trained / 8),
    seed,
  });
  for await (const event of events) {
    if (event.type === "run-start") console.log(`\n${name}: ${event.plan.trainable} trained parameters, ${event.plan.steps} steps`);
    if (event.type === "eval-end")
      console.log(`validation after step ${event.step}: loss ${event.loss.toFixed(3)}, accuracy ${event.metrics["accuracy"].toFixed(3)}`);
  }
  return folder;
};

// The head for two classes is new and trained whole beside A and B; the adapter holds both. It reads the last token of a message.
const model = await loadModel(values.model, { classifier, seed });
const folder = await train(model, "LoRA", 2e-3, await model.attach({ r: 16, lora_alpha: 16, target_modules: "all-linear" }, seed));
await report("LoRA", byModel(model, await model.loadAdapter(folder)));

// Without an adapter every parameter is trained, and the result is a checkpoint of its own.
const whole = await loadModel(await train(model, "full fine-tuning", 5e-4));
await report("full fine-tuning", byModel(whole));
await whole.close();
await model.close();
