import { afterAll, describe, expect, it } from "vitest";
import { gradientByDifferences, largestError } from "../../test/evaluate.ts";
import { countOf } from "../../test/graph-facts.ts";
import { materialise, planEpoch, type Batch, type Example } from "../data/index.ts";
import { add, multiply, scalar, total, type OpName, type Tensor } from "../graph/index.ts";
import { viewOf } from "../nn/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { f32 } from "../util/index.ts";
import type { MemorySettings } from "./losses/loss.ts";
import { nextToken } from "./losses/next-token.ts";
import { adaptedModel, tinyExamples, wholeModel, type TinySubject } from "./model.fixture.ts";
import { sgd } from "./optim/sgd.ts";
import { lossRunner, meanLoss, trainingRunner, type StepResult } from "./programs.ts";
import { trainingProgram } from "./step.ts";
import { train } from "./trainer.ts";

const backend = ortBackend({ threads: 2 });
afterAll(() => backend.dispose());

/** Batches of examples in order, one example a row or packed. */
const batches = (examples: readonly Example[], batchSize: number, maxLength = 16, pack = false): Batch[] =>
  planEpoch({ examples, batchSize, maxLength, pack, order: "sequential", seed: 0, epoch: 0 }).map(materialise);

/** Loss, labels and gradient, summed over batches. */
const summed = async (subject: TinySubject, given: readonly Batch[]): Promise<StepResult> => {
  const runner = trainingRunner(backend, subject);
  const gradient = new Float32Array(subject.trainable.layout.size);
  let [loss, weight] = [0, 0];
  for (const batch of given) {
    const result = await runner.run(batch, subject.parameters, 1, 0);
    result.gradient.forEach((value, index) => (gradient[index] += value));
    loss += result.loss;
    weight += result.weight;
  }
  await runner.dispose();
  return { loss, weight, metrics: {}, counts: {}, gradient };
};

/** ‖a − b‖ / ‖b‖ */
const relative = (a: Float32Array, b: Float32Array): number => Math.hypot(...a.map((value, index) => value - b[index])) / Math.hypot(...b);

const expectSame = (actual: StepResult, expected: StepResult, tolerance: number): void => {
  expect(actual.weight).toBe(expected.weight);
  expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(tolerance);
  expect(Math.hypot(...expected.gradient)).toBeGreaterThan(1);
  expect(relative(actual.gradient, expected.gradient)).toBeLessThan(tolerance);
};

const subjects: [string, TinySubject][] = [
  ["an adapter", adaptedModel()],
  ["a model with a tied head", wholeModel()],
  ["a model with a head of its own", wholeModel({ tie_word_embeddings: false })],
];

describe.each(subjects)("a step of %s", (_, subject) => {
  const examples = tinyExamples([9, 16, 5, 12]);

  it("adds up over batches of different numbers of labels", async () => {
    const [whole] = batches(examples, 4);
    const parts = batches(examples.slice(0, 1), 1).concat(batches(examples.slice(1), 3));
    expect(parts.map(({ supervised }) => supervised)).toEqual([6, 21]);
    expectSame(await summed(subject, parts), await summed(subject, [whole]), 1e-6);
  });

  it("is not changed by rows without an example", async () => {
    const [tight] = batches(examples, 4);
    const [loose] = batches(examples, 7);
    expect([loose.rows, loose.documents]).toEqual([7, 4]);
    expectSame(await summed(subject, [loose]), await summed(subject, [tight]), 1e-6);
  });

  it("is not changed by padding at the end of rows", async () => {
    const short = tinyExamples([5, 7, 6]);
    const [tight] = batches(short, 3, 7);
    const [loose] = batches(short, 3, 16);
    expect([tight.length, loose.length]).toEqual([7, 16]);
    expectSame(await summed(subject, [loose]), await summed(subject, [tight]), 1e-6);
  });

  it("is the same for packed rows, whose documents do not see each other", async () => {
    const many = tinyExamples([9, 16, 5, 12, 7, 3, 4, 8]);
    const packed = batches(many, 2, 20, true);
    expect(packed.map(({ rows, length, documents }) => [rows, length, documents])).toEqual([
      [2, 20, 4],
      [2, 20, 4],
    ]);
    expectSame(await summed(subject, packed), await summed(subject, batches(many, 8)), 1e-5);
  });

  it("makes an update that depends on the labels alone, not on the batches", async () => {
    const update = async (given: readonly Batch[]): Promise<Float32Array> => {
      const training = trainingRunner(backend, subject);
      const parameters = subject.parameters.slice();
      const events = train({
        training,
        parameters,
        optimiser: sgd(subject.trainable.layout),
        schedule: { schedule: "constant", peak: 1, warmupSteps: 0, totalSteps: 1 },
        epochs: 1,
        epochBatches: () => ({ count: given.length, batch: (index) => given[index] }),
        accumulate: given.length,
        maxGradientNorm: Infinity,
        seed: 0,
        heldOut: [],
        evalEvery: 0,
        saveEvery: 0,
        earlyStopping: { patience: Infinity },
        save: async () => "",
      });
      while ((await events.next()).done !== true);
      await training.dispose();
      return parameters.map((value, index) => value - subject.parameters[index]);
    };
    const apart = await update(batches(examples.slice(0, 1), 1).concat(batches(examples.slice(1), 3)));
    expect(relative(apart, await update(batches(examples, 4)))).toBeLessThan(2e-6);
  });
});

describe("the gradient", () => {
  it.each<[string, TinySubject, string]>([
    ["an embedding that is the head as well", wholeModel(), "model.embed_tokens.weight"],
    ["a norm's gain", wholeModel(), "model.layers.0.input_layernorm.weight"],
    ["a head of its own", wholeModel({ tie_word_embeddings: false }), "lm_head.weight"],
    ["A", adaptedModel(), "model.layers.0.self_attn.v_proj.lora_A"],
    ["B", adaptedModel(), "model.layers.1.mlp.down_proj.lora_B"],
    ["a bias on B", adaptedModel({ lora_bias: true }), "model.layers.0.mlp.up_proj.lora_B.bias"],
    ["A of an embedding", adaptedModel({ target_modules: ["embed_tokens"] }), "model.embed_tokens.lora_embedding_A"],
  ])("of %s is that of differences", async (_, subject, name) => {
    const slot = subject.trainable.layout.slots.find((candidate) => candidate.name === name)!;
    const [batch] = batches(tinyExamples([6, 8, 5]), 3, 8);
    const [training, evaluation] = [trainingRunner(backend, subject), lossRunner(backend, subject)];
    const { gradient, weight } = await training.run(batch, subject.parameters, 0, 0);
    const differences = await gradientByDifferences(
      async ({ values }) => {
        const moved = subject.parameters.slice();
        viewOf(moved, slot).set(values.data as Float32Array);
        return f32([(await evaluation.run(batch, moved, 0, 0)).loss / weight]);
      },
      { values: f32(viewOf(subject.parameters, slot).slice(), slot.shape) },
      "values",
      f32([1]),
      0.003, // an embedding's effect is far from straight, because it is normalised
    );
    const ours = Array.from(viewOf(gradient, slot), (value) => value / weight);
    expect(Math.max(...ours.map(Math.abs))).toBeGreaterThan(0.1);
    expect(largestError(ours, differences)).toBeLessThan(1e-3);
    await training.dispose();
    await evaluation.dispose();
  });
});

describe("dropout", () => {
  const subject = adaptedModel({ lora_dropout: 0.25 });
  const [batch] = batches(tinyExamples([9, 16, 5]), 3);
  const gradientAt = async (seed: number, step: number): Promise<Float32Array> => {
    const runner = trainingRunner(backend, subject);
    const { gradient } = await runner.run(batch, subject.parameters, seed, step);
    await runner.dispose();
    return gradient;
  };

  it("is the same for the same seed and step, another for others, and none in an evaluation", async () => {
    const first = await gradientAt(3, 5);
    expect(await gradientAt(3, 5)).toEqual(first);
    for (const [seed, step] of [
      [4, 5],
      [3, 6],
    ])
      expect(relative(await gradientAt(seed, step), first)).toBeGreaterThan(0.05);
    const [with25, without] = [subject, adaptedModel()].map((each) => lossRunner(backend, each));
    expect(await with25.run(batch, subject.parameters, 3, 5)).toEqual(await without.run(batch, subject.parameters, 9, 9));
    await with25.dispose();
    await without.dispose();
  });
});

describe("a penalty", () => {
  it("of a trainable adds its gradient once per label, beside the loss", async () => {
    const subject = adaptedModel();
    const [batch] = batches(tinyExamples([9, 16, 5]), 3);
    // Half the sum of squares: its gradient is the parameters themselves.
    const penalty = (tensors: ReadonlyMap<string, Tensor>): Tensor =>
      [...tensors.values()].map((x) => multiply(total(multiply(x, x)), scalar(0.5))).reduce(add);
    const [plain, penalised] = [subject, { ...subject, trainable: { ...subject.trainable, penalty } }].map((each) =>
      trainingRunner(backend, each),
    );
    const [without, result] = [await plain.run(batch, subject.parameters, 0, 0), await penalised.run(batch, subject.parameters, 0, 0)];
    expect([result.loss, result.weight]).toEqual([without.loss, without.weight]);
    const half = subject.parameters.reduce((sum, value) => sum + value * value, 0) / 2;
    expect(result.metrics["penalty"].sum / result.weight).toBeCloseTo(half, 4);
    expect(result.metrics["penalty"].weight).toBe(result.weight);
    const added = result.gradient.map((value, index) => (value - without.gradient[index]) / result.weight);
    expect(relative(added, subject.parameters)).toBeLessThan(1e-5);
    await plain.dispose();
    await penalised.dispose();
  });
});

describe("experts that are to be used alike", () => {
  const experts = {
    model_type: "mixtral",
    num_local_experts: 3,
    num_experts_per_tok: 2,
    output_router_logits: true,
    router_aux_loss_coef: 0.5,
  };

  it("cost each step the balance of its tokens, padding left out, with and without recomputation", async () => {
    const examples = tinyExamples([9, 16, 5]);
    const subject = wholeModel(experts);
    const plain = wholeModel({ ...experts, output_router_logits: false });
    const run = async (of: TinySubject & MemorySettings, maxLength: number): Promise<StepResult> => {
      const runner = trainingRunner(backend, of);
      const result = await runner.run(batches(examples, 3, maxLength, true)[0], subject.parameters, 0, 0);
      await runner.dispose();
      return result;
    };
    const without = await run(plain, 32);
    expect(without.metrics).toEqual({});
    const result = await run(subject, 32);
    expect(result.loss).toBeCloseTo(without.loss, 4);
    const { sum, weight } = result.metrics["penalty"];
    expect(sum / weight).toBeGreaterThan(0.99); // 0.5 · 2 experts a token
    expect(relative(result.gradient, without.gradient)).toBeGreaterThan(0.001);
    for (const other of [
      await run(subject, 40),
      await run({ ...subject, recompute: true }, 32),
      await run({ ...subject, keep: true }, 32),
    ]) {
      expect(other.metrics["penalty"].sum).toBeCloseTo(sum, 4);
      expect(relative(other.gradient, result.gradient)).toBeLessThan(1e-5);
    }
  });
});

describe("what is kept for the backward pass", () => {
  const [one] = batches(tinyExamples([9]), 1, 32, true);

  it("is made again unless there is room for it: one softmax and two norms a layer", () => {
    const { layers } = adaptedModel().model;
    const count = (keep: boolean, op: OpName): number =>
      countOf(trainingProgram({ ...adaptedModel(), keep, shape: nextToken.shapeOf(batches(tinyExamples([9]), 1, 32, true)[0]) }), op);
    expect(count(false, "softmax") - count(true, "softmax")).toBe(layers);
    expect(count(false, "rms-norm") - count(true, "rms-norm")).toBe(2 * layers);
  });

  it.each([
    [512, {}, true],
    [513, {}, false],
    [512, { recompute: true }, false],
    [513, { keep: true }, true],
  ])("is kept by default up to 512 tokens at once, unless layers are computed again: %d, %o", (T, settings, isKept) => {
    const softmaxes = (given: MemorySettings): number =>
      countOf(trainingProgram({ ...adaptedModel(), ...given, shape: { ...nextToken.shapeOf(one), T } }), "softmax");
    expect(softmaxes(settings)).toBe(softmaxes({ ...settings, keep: isKept }));
    expect(softmaxes({ keep: false, recompute: false })).toBeGreaterThan(softmaxes({ keep: true, recompute: false }));
  });
});

describe("a runner", () => {
  it("compiles a shape once, however many batches have it, and again after its disposal", async () => {
    const compiled: string[] = [];
    const counting: Backend = {
      ...backend,
      compile: (graph) => {
        compiled.push([...graph.inputs].map(([name, { shape }]) => `${name} ${shape.join("×")}`).join(", "));
        return backend.compile(graph);
      },
    };
    const subject = adaptedModel();
    const runner = trainingRunner(counting, subject);
    const [first, second] = batches(tinyExamples([8, 7, 8, 6]), 2, 8);
    expect(runner.isReady(first)).toBe(false);
    await runner.prepare(first);
    expect(runner.shapeOf(first)).toEqual({ B: 2, T: 8, L: 16 });
    expect([runner.isReady(first), runner.isReady(second)]).toEqual([true, true]);
    await Promise.all([first, second, first].map((batch) => runner.run(batch, subject.parameters, 0, 0)));
    expect(compiled).toHaveLength(1);
    expect(compiled[0]).toContain("rows 16");
    expect(compiled[0]).toContain(`parameters ${subject.parameters.length}`);
    await runner.dispose();
    expect(runner.isReady(first)).toBe(false);
  });
});

describe("meanLoss", () => {
  it("is the mean over labels, not over batches", async () => {
    const subject = wholeModel();
    const evaluation = lossRunner(backend, subject);
    const parts = batches(tinyExamples([4, 16, 16, 16]), 1);
    const sums = await Promise.all(parts.map((batch) => evaluation.run(batch, subject.parameters, 0, 0)));
    const loss = sums.reduce((sum, result) => sum + result.loss, 0) / sums.reduce((sum, result) => sum + result.weight, 0);
    expect(await meanLoss(evaluation, parts, subject.parameters)).toEqual({ counts: {}, loss, weight: 32, metrics: {} });
    expect(sums[0].gradient).toHaveLength(0);
    await evaluation.dispose();
  });
});

it("a runner frees the programs that it has also where another one could not be compiled", async () => {
  const subject = adaptedModel();
  const [small] = batches(tinyExamples([5]), 1);
  const [large] = batches(tinyExamples([9, 12]), 2);
  let [compiled, disposed] = [0, 0];
  const failing: Backend = {
    ...backend,
    compile: async (graph, options) => {
      if (compiled++ === 0) throw new Error("no room");
      const executable = await backend.compile(graph, options);
      return { ...executable, dispose: () => (disposed++, executable.dispose()) };
    },
  };
  const runner = trainingRunner(failing, subject);
  await expect(runner.prepare(large)).rejects.toThrow("no room");
  await runner.prepare(small);
  await runner.dispose();
  expect(disposed).toBe(1);
});
