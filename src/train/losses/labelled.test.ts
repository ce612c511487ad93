import { afterAll, describe, expect, it } from "vitest";
import { gradientByDifferences, largestError } from "../../../test/evaluate.ts";
import { labelledKind, planBatches, type LabelledBatch, type LabelledExample } from "../../data/index.ts";
import { modelOf, withLabels, type Model } from "../../models/index.ts";
import { viewOf } from "../../nn/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { f32, random } from "../../util/index.ts";
import { tinyConfig } from "../model.fixture.ts";
import { lossRunner, meanLoss, trainingRunner } from "../programs.ts";
import { freshParameters, trainableModel } from "../trainable.ts";
import { lossOfHead } from "./head.ts";

const backend = ortBackend({ threads: 1 });
afterAll(() => backend.dispose());

const classifier = (predicts: Model["head"]["predicts"], labels: readonly string[], config: object = tinyConfig): Model =>
  modelOf(withLabels({ ...config }, { predicts, labels }), "config.json");

const encoder = {
  model_type: "bert",
  vocab_size: 19,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 32,
  initializer_range: 0.4,
};

const models = {
  "a decoder's classes": classifier("classes", ["a", "b", "c"]),
  "a decoder's values": classifier("values", ["value"]),
  "an encoder's classes": classifier("classes", ["a", "b", "c"], encoder),
  "an encoder's values": classifier("values", ["value"], encoder),
};

const stream = random(9);
const examples: LabelledExample[] = [6, 9, 3, 7, 4].map((length, index) => ({
  ids: Int32Array.from({ length }, () => stream.integer(19)),
  label: index % 3,
  types: Int32Array.from({ length }, (_, position) => Number(position > length / 2)),
  where: `tiny.csv:${index + 1}`,
}));

const batchesOf = (model: Model, batchSize: number, pack = false): LabelledBatch[] => {
  const kind = labelledKind({ pool: model.head.pool!, classes: undefined });
  const plans = planBatches(kind, { examples, batchSize, maxLength: 12, pack, order: "sequential", seed: 0, epoch: 0 });
  return plans.map((plan) => kind.collate(plan));
};

const subject = (model: Model) => ({ model, find: () => undefined, trainable: trainableModel(model), loss: lossOfHead(model) });

describe.each(Object.entries(models))("the loss of %s", (_, model) => {
  const parameters = freshParameters(model, 7);

  it("is the same in one batch, in several, and in packed rows", async () => {
    const runner = lossRunner(backend, subject(model));
    const whole = await meanLoss(runner, batchesOf(model, 5), parameters);
    for (const batches of [batchesOf(model, 2), batchesOf(model, 8), batchesOf(model, 2, true)]) {
      const other = await meanLoss(runner, batches, parameters);
      expect([other.weight, other.loss]).toEqual([5, expect.closeTo(whole.loss, 5)]);
      for (const [name, counts] of Object.entries(whole.counts))
        counts.forEach((count, index) => expect(other.counts[name][index]).toBeCloseTo(count, 4));
    }
    await runner.dispose();
  });

  it("has the gradient that differences have, in the head and below it", async () => {
    const [training, evaluation] = [trainingRunner(backend, subject(model)), lossRunner(backend, subject(model))];
    const [batch] = batchesOf(model, 5);
    const { gradient, weight } = await training.run(batch, parameters, 0, 0);
    const { slots } = trainableModel(model).layout;
    const chosen = [slots.at(-1)!, slots.find(({ name }) => /layer(s)?\.0\..*(q_proj|query)\.weight$/.test(name))!];
    for (const slot of chosen) {
      const differences = await gradientByDifferences(
        async ({ values }) => {
          const moved = parameters.slice();
          viewOf(moved, slot).set(values.data as Float32Array);
          const { loss } = await evaluation.run(batch, moved, 0, 0);
          return f32([loss / weight]);
        },
        { values: f32(viewOf(parameters, slot), slot.shape) },
        "values",
        f32([1]),
      );
      expect(
        largestError(
          Array.from(viewOf(gradient, slot), (value) => value / weight),
          differences,
        ),
      ).toBeLessThan(1e-3);
    }
    await training.dispose();
    await evaluation.dispose();
  });
});

describe("what an evaluation counts", () => {
  it("is a matrix of actual and predicted classes, whose diagonal is the accuracy", async () => {
    const model = models["a decoder's classes"];
    const runner = lossRunner(backend, subject(model));
    const { counts, metrics, weight } = await meanLoss(runner, batchesOf(model, 2), freshParameters(model, 7));
    const { confusion } = counts;
    const rows = [0, 1, 2].map((row) => confusion.slice(3 * row, 3 * row + 3).reduce((sum, count) => sum + count, 0));
    expect(rows).toEqual([2, 2, 1]);
    expect((confusion[0] + confusion[4] + confusion[8]) / weight).toBeCloseTo(metrics["accuracy"].sum / 5, 6);
    // Zeros as weights: every class is the greatest, and each document is shared among all.
    const { counts: tied } = await meanLoss(runner, batchesOf(model, 5), freshParameters(model, 7).fill(0));
    tied["confusion"].forEach((count, index) => expect(count).toBeCloseTo([2 / 3, 2 / 3, 1 / 3][Math.floor(index / 3)], 5));
    await runner.dispose();
  });

  it("is the moments of values and predictions", async () => {
    const model = models["a decoder's values"];
    const runner = lossRunner(backend, subject(model));
    const { counts, loss } = await meanLoss(runner, batchesOf(model, 2), freshParameters(model, 7));
    const [n, y, guess, yy, guesses, products] = counts["moments"];
    expect([n, y, yy]).toEqual([5, 0 + 1 + 2 + 0 + 1, 1 + 4 + 1]);
    expect((guesses - 2 * products + yy) / n).toBeCloseTo(loss, 4);
    expect(guess).not.toBe(0);
    await runner.dispose();
  });
});

describe("is refused", () => {
  it("several values at once", () => {
    expect(() => lossOfHead(classifier("values", ["x", "y"]))).toThrow("The head predicts 2 values of a document at once; one is offered.");
  });

  it("labels of a head that predicts tokens are", async () => {
    const { classification } = await import("./classification.ts");
    expect(() => classification(modelOf(tinyConfig, "config.json"))).toThrow("The head of this llama predicts tokens, not labels");
  });
});
