import { afterAll, describe, expect, it } from "vitest";
import { gradientByDifferences, largestError } from "../../../test/evaluate.ts";
import { judgedKind, pairKind, planBatches, type Example, type ExampleKind, type Judged, type Pair } from "../../data/index.ts";
import { viewOf } from "../../nn/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { f32, random } from "../../util/index.ts";
import type { LabelledRows } from "../feeds.ts";
import { adaptedModel, tinyExamples, wholeModel, type TinySubject } from "../model.fixture.ts";
import { meansOf } from "../metrics.ts";
import { lossRunner, trainingRunner, type StepResult, type StepRunner } from "../programs.ts";
import { dpo } from "./dpo.ts";
import { kto } from "./kto.ts";
import type { Loss, Metrics, TrainingBatch } from "./loss.ts";
import { nextToken } from "./next-token.ts";
import { orpo } from "./orpo.ts";

const backend = ortBackend({ threads: 2 });
afterAll(() => backend.dispose());

/** What is trained, parameters with which it is the base, and next-token prediction on it. */
interface Departed extends TinySubject {
  readonly atBase: Float32Array;
  readonly alone: StepRunner<LabelledRows & TrainingBatch>;
}

const departed = (subject: TinySubject, parameters: Float32Array, atBase: Float32Array): Departed => {
  const alone = trainingRunner(backend, { ...subject, loss: nextToken });
  return { ...subject, parameters, atBase, alone };
};

const adapted = adaptedModel();
const whole = wholeModel();
const generator = random(3);
const nearby = whole.parameters.map((value) => value + 0.1 * generator.normal());
const subjects: Record<string, Departed> = {
  "an adapter": departed(adapted, adapted.parameters, new Float32Array(adapted.parameters.length)),
  "a whole model": departed(whole, nearby, whole.parameters),
};

const answers = tinyExamples([9, 14, 6, 12, 8, 10]);
const pairs: Pair[] = [0, 2, 4].map((index) => ({ chosen: answers[index], rejected: answers[index + 1] }));
const judged: Judged[] = answers
  .slice(0, 5)
  .map((answer, index) => ({ answer, desirable: index % 2 === 0, mismatched: answers[5 - index] }));

const batchesOf = <E, B>(kind: ExampleKind<E, B, unknown, unknown>, examples: readonly E[], batchSize: number): B[] =>
  planBatches(kind, { examples, batchSize, maxLength: 16, order: "sequential", seed: 0, epoch: 0 }).map((plan) => kind.collate(plan));

const runOnce = async (subject: TinySubject, loss: Loss, batch: TrainingBatch, parameters = subject.parameters): Promise<StepResult> => {
  const runner = trainingRunner(backend, { ...subject, loss });
  const result = await runner.run(batch, parameters, 0, 0);
  await runner.dispose();
  return result;
};

/** −log p of an example's answer and its gradient, from next-token prediction on it alone. */
const alone = (subject: Departed, example: Example, parameters = subject.parameters): Promise<StepResult> =>
  subject.alone.run(batchesOf(nextToken.kind, [example], 1)[0], parameters, 0, 0);

interface LogProbs {
  readonly policy: number;
  readonly base: number;
  readonly length: number;
}

const logProbsOf = async (subject: Departed, example: Example): Promise<LogProbs> => ({
  policy: -(await alone(subject, example)).loss,
  base: -(await alone(subject, example, subject.atBase)).loss,
  length: example.supervised.reduce((sum, flag) => sum + flag, 0),
});

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

interface Expected {
  readonly loss: number;
  readonly metrics: Metrics;
}

const compared = async (
  subject: Departed,
  value: (chosen: LogProbs, rejected: LogProbs) => number,
  score: (answer: LogProbs) => number,
): Promise<Expected> => {
  const scored = await Promise.all(
    pairs.map(async ({ chosen, rejected }) => [await logProbsOf(subject, chosen), await logProbsOf(subject, rejected)] as const),
  );
  const [up, down] = [scored.map(([chosen]) => score(chosen)), scored.map(([, rejected]) => score(rejected))];
  return {
    loss: mean(scored.map(([chosen, rejected]) => value(chosen, rejected))),
    metrics: {
      margin: mean(up) - mean(down),
      accuracy: mean(up.map((reward, index) => Number(reward > down[index]))),
      chosenReward: mean(up),
      rejectedReward: mean(down),
    },
  };
};

const smoothed = (smoothing: number) => (subject: Departed) => {
  const reward = ({ policy, base }: LogProbs): number => 0.3 * (policy - base);
  return compared(
    subject,
    (chosen, rejected) => {
      const margin = reward(chosen) - reward(rejected);
      return -(1 - smoothing) * Math.log(sigmoid(margin)) - smoothing * Math.log(sigmoid(-margin));
    },
    reward,
  );
};

const oddsRatio = (subject: Departed) => {
  const average = ({ policy, length }: LogProbs): number => policy / length;
  const logOdds = (l: number): number => l - Math.log(1 - Math.exp(l));
  return compared(
    subject,
    (chosen, rejected) => -average(chosen) - 0.5 * Math.log(sigmoid(logOdds(average(chosen)) - logOdds(average(rejected)))),
    (answer) => 0.5 * average(answer),
  );
};

/** log π − log π_ref of the judged answers, and what the mismatched ones make of z. */
const ratiosOf = async (subject: Departed): Promise<{ own: number[]; divergence: number }> => {
  const ratios = async (part: (one: Judged) => Example): Promise<number[]> => {
    const all = await Promise.all(judged.map((one) => logProbsOf(subject, part(one))));
    return all.map(({ policy, base }) => policy - base);
  };
  const [own, others] = [await ratios(({ answer }) => answer), await ratios(({ mismatched }) => mismatched)];
  return { own, divergence: Math.max(0, mean(others)) };
};

const prospect = async (subject: Departed): Promise<Expected> => {
  const { own, divergence } = await ratiosOf(subject);
  const each = own.map((ratio, index) =>
    judged[index].desirable ? 1.5 * (1 - sigmoid(0.3 * (ratio - divergence))) : 0.8 * (1 - sigmoid(0.3 * (divergence - ratio))),
  );
  const rewards = (desirable: boolean): number[] => own.filter((_, index) => judged[index].desirable === desirable).map((r) => 0.3 * r);
  return {
    loss: mean(each),
    metrics: {
      divergence,
      accuracy: mean(own.map((ratio, index) => Number(judged[index].desirable ? ratio > divergence : ratio < divergence))),
      chosenReward: mean(rewards(true)),
      rejectedReward: mean(rewards(false)),
    },
  };
};

interface Case {
  readonly name: string;
  readonly loss: Loss;
  /** All examples in batches of a size; the last batch lacks some. */
  readonly batches: (batchSize: number) => TrainingBatch[];
  readonly expected: (subject: Departed) => Promise<Expected>;
}

const weighted = kto({ beta: 0.3, desirableWeight: 1.5, undesirableWeight: 0.8 });
const inPairs = (size: number): TrainingBatch[] => batchesOf(pairKind, pairs, size);
const cases: Case[] = [
  { name: "dpo", loss: dpo({ beta: 0.3 }), batches: inPairs, expected: smoothed(0) },
  { name: "dpo with smoothed labels", loss: dpo({ beta: 0.3, labelSmoothing: 0.2 }), batches: inPairs, expected: smoothed(0.2) },
  { name: "orpo", loss: orpo({ lambda: 0.5 }), batches: inPairs, expected: oddsRatio },
  { name: "kto", loss: weighted, batches: (size) => batchesOf(judgedKind, judged, size), expected: prospect },
];

// Without labels in the mismatched rows z is 0, and the whole loss moves with the parameters.
const unmatched = judged.map((one) => ({ ...one, mismatched: { ...one.mismatched, supervised: new Uint8Array(16) } }));

const relative = (a: Float32Array, b: Float32Array): number => Math.hypot(...a.map((value, index) => value - b[index])) / Math.hypot(...b);

describe.each(Object.entries(subjects))("of %s,", (_, subject) => {
  it.each(cases)("$name is the formula over log p of each answer, with its metrics", async ({ loss, batches, expected }) => {
    const [batch] = batches(5);
    const result = await runOnce(subject, loss, batch);
    const given = await expected(subject);
    expect(result.loss / result.weight).toBeCloseTo(given.loss, 5);
    const metrics = meansOf(result.metrics);
    for (const [name, value] of Object.entries(given.metrics)) expect(metrics[name], name).toBeCloseTo(value, 4);
  });

  it.each(cases)("$name is not changed by rows without an example", async ({ loss, batches }) => {
    const [tight, loose] = [await runOnce(subject, loss, batches(5)[0]), await runOnce(subject, loss, batches(7)[0])];
    expect(loose.weight).toBe(tight.weight);
    expect(loose.loss).toBeCloseTo(tight.loss, 4);
    expect(relative(loose.gradient, tight.gradient)).toBeLessThan(1e-5);
  });

  const slots = subject.trainable.layout.slots.filter(({ name }) =>
    /layers\.1\.mlp\.down_proj|layers\.0\.self_attn\.v_proj|input_layernorm|embed/.test(name),
  );
  it.each<[string, Loss, TrainingBatch]>([
    ...cases.slice(0, 3).map(({ name, loss, batches }) => [name, loss, batches(5)[0]] as [string, Loss, TrainingBatch]),
    ["kto", weighted, batchesOf(judgedKind, unmatched, 5)[0]],
  ])("%s has the gradient of differences", async (_, loss, batch) => {
    const { gradient, weight } = await runOnce(subject, loss, batch);
    const evaluation = lossRunner(backend, { ...subject, loss });
    for (const slot of slots) {
      const differences = await gradientByDifferences(
        async ({ values }) => {
          const moved = subject.parameters.slice();
          viewOf(moved, slot).set(values.data as Float32Array);
          return f32([(await evaluation.run(batch, moved, 0, 0)).loss / weight]);
        },
        { values: f32(viewOf(subject.parameters, slot).slice(), slot.shape) },
        "values",
        f32([1]),
        0.003,
      );
      expect(
        largestError(
          Array.from(viewOf(gradient, slot), (value) => value / weight),
          differences,
        ),
        slot.name,
      ).toBeLessThan(2e-3);
    }
    await evaluation.dispose();
  });

  it("kto takes a mean ratio below 0 for a divergence of 0", async () => {
    const candidates = tinyExamples(
      Array.from({ length: 24 }, () => 8),
      21,
    );
    const all = await Promise.all(candidates.map(async (answer) => ({ answer, ...(await logProbsOf(subject, answer)) })));
    const [lowest] = all.sort((a, b) => a.policy - a.base - (b.policy - b.base));
    expect(lowest.policy - lowest.base).toBeLessThan(-0.1);
    const [batch] = batchesOf(
      judgedKind,
      judged.map((one) => ({ ...one, mismatched: lowest.answer })),
      5,
    );
    const { loss, metrics } = await runOnce(subject, weighted, batch);
    expect(metrics["divergence"].sum).toBe(0);
    expect(loss).toBeCloseTo((await runOnce(subject, weighted, batchesOf(judgedKind, unmatched, 5)[0])).loss, 5);
  });

  it("kto holds z: its gradient is that of the answers, each by the slope of its value at z", async () => {
    const { gradient } = await runOnce(subject, weighted, batchesOf(judgedKind, judged, 5)[0]);
    const { own, divergence } = await ratiosOf(subject);
    expect(divergence).toBeGreaterThan(0.1);
    const expected = new Float32Array(gradient.length);
    for (const [index, { answer, desirable }] of judged.entries()) {
      const value = sigmoid(0.3 * (own[index] - divergence) * (desirable ? 1 : -1));
      const slope = (desirable ? 1.5 : -0.8) * 0.3 * value * (1 - value);
      (await alone(subject, answer)).gradient.forEach((part, place) => (expected[place] += slope * part));
    }
    expect(relative(gradient, expected)).toBeLessThan(1e-4);
  });
});

it("dpo begins at log 2 with margins of 0 and a slope, where B is zero", async () => {
  const { slots } = adapted.trainable.layout;
  const fresh = adapted.parameters.slice();
  for (const slot of slots) if (slot.name.endsWith("lora_B")) viewOf(fresh, slot).fill(0);
  const { loss, weight, metrics, gradient } = await runOnce(adapted, dpo(), inPairs(3)[0], fresh);
  expect(loss / weight).toBeCloseTo(Math.LN2, 6);
  expect(meansOf(metrics)).toMatchObject({ margin: 0, accuracy: 0, chosenReward: 0, rejectedReward: 0 });
  for (const slot of slots) expect(Math.hypot(...viewOf(gradient, slot)) > 1e-3, slot.name).toBe(slot.name.endsWith("lora_B"));
});
