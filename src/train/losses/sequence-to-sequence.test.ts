import { afterAll, describe, expect, it } from "vitest";
import { planBatches, sourceTargetKind, type SourceTarget, type SourceTargetBatch } from "../../data/index.ts";
import { modelOf } from "../../models/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { random } from "../../util/index.ts";
import { lossRunner, trainingRunner, type StepResult } from "../programs.ts";
import { freshParameters, trainableModel } from "../trainable.ts";
import { sequenceToSequence } from "./sequence-to-sequence.ts";

const backend = ortBackend({ threads: 1 });
afterAll(() => backend.dispose());

const model = modelOf(
  {
    model_type: "t5",
    vocab_size: 19,
    d_model: 8,
    d_kv: 4,
    d_ff: 12,
    num_layers: 2,
    num_heads: 2,
    relative_attention_num_buckets: 8,
    relative_attention_max_distance: 12,
    decoder_start_token_id: 2,
  },
  "config.json",
);
const trainable = trainableModel(model);
const subject = { model, find: () => undefined, trainable, loss: sequenceToSequence };
const parameters = freshParameters(model, 7);

const generator = random(5);
const side = (length: number, where: string) => ({
  ids: Int32Array.from({ length }, () => generator.integer(19)),
  supervised: new Uint8Array(length),
  where,
});
const examples = [
  [9, 5],
  [16, 3],
  [4, 18],
].map(([source, target], row): SourceTarget => ({ source: side(source, `d:${row}`), target: side(target, `d:${row}`) }));

const batchesOf = (some: readonly SourceTarget[], batchSize: number): SourceTargetBatch[] =>
  planBatches(sourceTargetKind, { examples: some, batchSize, maxLength: 64, order: "sequential", seed: 0, epoch: 0 }).map((plan) =>
    sourceTargetKind.collate(plan),
  );

const summed = async (batches: readonly SourceTargetBatch[], recompute?: boolean): Promise<StepResult> => {
  const runner = trainingRunner(backend, { ...subject, ...(recompute && { recompute }) });
  const gradient = new Float32Array(trainable.layout.size);
  let [loss, weight] = [0, 0];
  for (const batch of batches) {
    const result = await runner.run(batch, parameters, 0, 0);
    result.gradient.forEach((value, index) => (gradient[index] += value));
    loss += result.loss;
    weight += result.weight;
  }
  await runner.dispose();
  return { loss, weight, metrics: {}, counts: {}, gradient };
};

const relative = (a: Float32Array, b: Float32Array): number => Math.hypot(...a.map((value, index) => value - b[index])) / Math.hypot(...b);

describe("prediction of targets from sources", () => {
  it("is the same in a batch, with its padding, as one by one, and weighs every token of the targets", async () => {
    const [together, apart] = [await summed(batchesOf(examples, 4)), await summed(examples.flatMap((example) => batchesOf([example], 1)))];
    expect([together.weight, apart.weight]).toEqual([26, 26]);
    expect(together.loss / apart.loss).toBeCloseTo(1, 6);
    expect(relative(together.gradient, apart.gradient)).toBeLessThan(1e-5);
  });

  it("keeps its gradients where layers are computed again for the backward pass", async () => {
    const batches = batchesOf(examples, 3);
    expect(relative((await summed(batches, true)).gradient, (await summed(batches)).gradient)).toBeLessThan(1e-6);
  });

  it("has gradients that agree with differences, those of the biases by distance too", async () => {
    const batches = batchesOf(examples, 3);
    const { gradient } = await summed(batches);
    const runner = lossRunner(backend, subject);
    const at = async (offset: number, direction: Float32Array, step: number): Promise<number> => {
      const moved = parameters.slice();
      direction.forEach((value, index) => (moved[offset + index] += step * value));
      return (await runner.run(batches[0], moved, 0, 0)).loss;
    };
    for (const { name, offset, size } of trainable.layout.slots) {
      const own = gradient.subarray(offset, offset + size);
      const norm = Math.hypot(...own);
      const direction = own.map((value) => value / norm);
      const step = 2e-3;
      const slope = ((await at(offset, direction, step)) - (await at(offset, direction, -step))) / (2 * step);
      expect(Math.abs(slope / norm - 1), name).toBeLessThan(2e-2);
    }
    await runner.dispose();
  });

  it("predicts each token from those before it and the token that decoding begins with, but not from itself", async () => {
    const runner = lossRunner(backend, subject);
    const { ids, ...rest } = examples[0].target;
    const lossOf = async (target: readonly number[]): Promise<number> => {
      const batch = batchesOf([{ ...examples[0], target: { ...rest, ids: Int32Array.from(target) } }], 1)[0];
      return (await runner.run(batch, parameters, 0, 0)).loss;
    };
    // Σ over the vocabulary of p(first token) is 1, so a prediction that could see its label would not add up.
    let total = 0;
    for (let id = 0; id < 19; id++) total += Math.exp(-(await lossOf([id])));
    expect(total).toBeCloseTo(1, 5);
    const pair = await lossOf([ids[0], ids[1]]);
    let second = 0;
    for (let id = 0; id < 19; id++) second += Math.exp((await lossOf([ids[0]])) - (await lossOf([ids[0], id])));
    expect(second).toBeCloseTo(1, 5);
    expect(pair).toBeGreaterThan(await lossOf([ids[0]]));
    await runner.dispose();
  });
});
