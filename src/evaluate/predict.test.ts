import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend, type CountingBackend } from "../../test/counting-backend.ts";
import { tinyModel } from "../../test/tiny-model.ts";
import { wordPieceFiles } from "../../test/tiny-tokenizer.ts";
import type { Texts } from "../data/index.ts";
import { loadTokenizer, tensorSources, writeCheckpoint } from "../formats/index.ts";
import { baseInference } from "../generate/index.ts";
import { modelOf, openBase, startValues } from "../models/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { f32 } from "../util/index.ts";
import { predict, type Prediction, type PredictOptions } from "./predict.ts";

let backend: CountingBackend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = countingBackend(ortBackend({ threads: 1 }));
});
afterAll(() => backend.dispose());

/** A random BERT with a tokenizer, in a new folder. */
const tinyBert = async (config: object = {}): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "lowrank-bert-"));
  const bert = {
    model_type: "bert",
    architectures: ["BertForSequenceClassification"],
    vocab_size: 13,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    max_position_embeddings: 32,
    initializer_range: 0.3,
    id2label: { 0: "no", 1: "yes", 2: "maybe" },
    ...config,
  };
  const { parameters } = modelOf(bert, folder);
  const tensors = new Map(parameters.map((spec) => [spec.name, f32(startValues(spec, 1), spec.shape)]));
  await writeCheckpoint(folder, { config: bert, tensors: tensorSources(tensors) });
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(wordPieceFiles().tokenizer));
  return folder;
};

const predictions = async (folder: string, texts: readonly Texts[], options: PredictOptions = {}): Promise<Prediction[]> => {
  const base = await openBase(folder);
  return predict(backend, baseInference(base), await loadTokenizer(folder), texts, options);
};

const texts: Texts[] = [
  ["the fox runs now! the fox runs now! the fox"],
  ["win"],
  ["the fox", "runs now"],
  ["cafe now"],
  ["runs now", "the fox"],
];

describe("predictions of an encoder", () => {
  it("are probabilities by name, the same one by one and together, in the order of the texts", async () => {
    const folder = await tinyBert();
    const together = await predictions(folder, texts);
    for (const { label, scores } of together) {
      expect(Object.keys(scores)).toEqual(["no", "yes", "maybe"]);
      expect(Object.values(scores).reduce((sum, score) => sum + score, 0)).toBeCloseTo(1, 6);
      expect(scores[label]).toBe(Math.max(...Object.values(scores)));
    }
    for (const [index, text] of texts.entries()) {
      const [alone] = await predictions(folder, [text], { batchSize: 1 });
      for (const [label, score] of Object.entries(alone.scores)) expect(together[index].scores[label]).toBeCloseTo(score, 5);
    }
    expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  });

  it("tell the texts of a pair apart by kind, where the model has kinds", async () => {
    const pair: Texts[] = [["the fox", "runs now"]];
    const score = async (folder: string): Promise<number> => (await predictions(folder, pair))[0].scores["yes"];
    const [two, one] = await Promise.all([score(await tinyBert()), score(await tinyBert({ type_vocab_size: 1 }))]);
    expect(Math.abs(two - one)).toBeGreaterThan(1e-3);
  });

  it("are of the first tokens where a text is longer", async () => {
    const folder = await tinyBert();
    const [whole, cut] = await Promise.all([
      predictions(folder, [["the fox runs"]]),
      predictions(folder, [["the fox runs now! win win"]], { maxLength: 6 }),
    ]);
    for (const [label, score] of Object.entries(whole[0].scores)) expect(cut[0].scores[label]).toBeCloseTo(score, 6);
  });

  it("are values where it was trained on values", async () => {
    const [{ label, scores }] = await predictions(await tinyBert({ id2label: { 0: "stars" } }), [["win"]]);
    expect([label, Object.keys(scores), Number.isFinite(scores["stars"])]).toEqual(["stars", ["stars"], true]);
  });
});

it("a language model predicts no labels", async () => {
  await expect(predictions(await tinyModel(), [["Mia"]])).rejects.toThrow(
    "The head of this llama predicts tokens, not labels of documents.",
  );
});
