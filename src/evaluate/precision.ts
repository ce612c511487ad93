/** @file How far a base in fewer bits is from float32 on given batches: logits, loss, gradient, bytes and time; and which form suits. It knows no particular form. */
import { and, cast, concat, equal, input, inputOf, max, multiply, program, subtract, sum } from "../graph/index.ts";
import { node, operandsOf, type Tensor } from "../graph/op.ts";
import { topological } from "../graph/walk.ts";
import type { StoredAdapter } from "../lora/index.ts";
import { modelModules, storedTensors, type Base, type Model } from "../models/index.ts";
import { precisions, roundedModule, type PrecisionName } from "../nn/index.ts";
import { mappedBytes } from "../onnx/index.ts";
import { compileLenient, type Backend, type Executable } from "../runtime/index.ts";
import {
  lossProgram,
  shapeKey,
  trainableAdapter,
  trainedTensors,
  trainingProgram,
  trainingRunner,
  type Loss,
  type StepShape,
  type Trainable,
  type TrainingBatch,
} from "../train/index.ts";
import { f32, LowrankError, type HostTensor } from "../util/index.ts";
import { median } from "./bench/machine.ts";

export interface PrecisionOptions {
  /** Opens the base in a form; without one, in float32. */
  readonly open: (precision?: PrecisionName) => Promise<Base>;
  /** The adapter that logits are computed with, and whose gradient is compared; its dropout does not count. */
  readonly stored: StoredAdapter;
  readonly loss: Loss;
  readonly batches: readonly TrainingBatch[];
}

export interface MeasuredPrecision {
  readonly precision: PrecisionName | "fp32";
  /** Bytes of the weights that are mapped for a training step, and for a forward pass alone. */
  readonly bytes: { readonly training: number; readonly inference: number };
  /** Against those of float32: differences, and the share of rows in which the same logit is the largest. */
  readonly logits: { readonly rms: number; readonly largest: number; readonly agreement: number };
  readonly loss: number;
  /** Cosine of the gradient with that of float32. */
  readonly gradientCosine: number;
  /** Of forward and backward of a batch: the median. */
  readonly stepSeconds: number;
}

/** What a form may cost at most to be recommended. */
export const tolerated = { lossDrift: 0.02, gradientCosine: 0.99 };

/** The model, which leaves the logits of its head in `seen`. */
const recording = (model: Model, seen: Tensor[]): Model => ({
  ...model,
  head: {
    ...model.head,
    logits: (modules, hidden) => {
      const logits = model.head.logits(modules, hidden);
      seen.push(logits);
      return logits;
    },
  },
});

/** The same tensors over one input for each name. */
const sharingInputs = (tensors: readonly Tensor[]): Tensor[] => {
  const inputs = new Map<string, Tensor>();
  const made = new Map<Tensor, Tensor>();
  for (const tensor of topological(tensors, undefined, operandsOf)) {
    const name = inputOf(tensor)?.name;
    if (name === undefined)
      made.set(
        tensor,
        node(
          tensor.op,
          tensor.inputs.map((operand) => made.get(operand) ?? operand),
          tensor.attributes,
        ),
      );
    else {
      inputs.set(name, inputs.get(name) ?? tensor);
      made.set(tensor, inputs.get(name)!);
    }
  }
  return tensors.map((tensor) => made.get(tensor)!);
};

/** For each row of two sets of logits (C, V): the sum and the largest of squared differences, and 1 where the same one is the largest. */
const compared = (exact: Tensor, rounded: Tensor): Tensor => {
  const difference = subtract(rounded, exact);
  const squares = multiply(difference, difference); // (C, V)
  const isBest = (logits: Tensor): Tensor => equal(logits, max(logits, [1])); // (C, V)
  const agrees = max(cast(and(isBest(exact), isBest(rounded)), "f32"), [1]);
  return concat([sum(squares, [1]), max(squares, [1]), agrees], 1); // (C, 3)
};

type Find = ReturnType<typeof storedTensors>;

interface Subject {
  readonly model: Model;
  readonly trainable: Trainable;
  readonly loss: Loss;
}

/** Output `drift` (R, 3): `compared`, for every row of logits that the loss looks at, in order. */
const driftProgram = ({ model, trainable, loss }: Subject, exact: Find, rounded: Find, shape: StepShape) => {
  const tensors = trainedTensors(trainable, input("parameters", [trainable.layout.size]));
  const logitsOver = (find: Find): Tensor[] => {
    const seen: Tensor[] = [];
    const modules = trainable.modules(tensors, find);
    loss.build({ model: recording(model, seen), modules, reference: () => modelModules(model, find), differentiable: false }, shape);
    return seen;
  };
  const logits = sharingInputs([...logitsOver(exact), ...logitsOver(rounded)]);
  const count = logits.length / 2;
  return program({
    drift: concat(
      logits.slice(0, count).map((one, index) => compared(one, logits[count + index])),
      0,
    ),
  });
};

const driftOf = async (
  backend: Backend,
  subject: Subject,
  [exact, rounded]: readonly [Base, Base],
  batches: readonly TrainingBatch[],
  fixed: Readonly<Record<string, HostTensor>>,
): Promise<MeasuredPrecision["logits"]> => {
  const { loss, model } = subject;
  const find = storedTensors(exact);
  const parts = storedTensors(rounded);
  const compiled = new Map<string, Executable>();
  let [squares, largest, agreeing, rows] = [0, 0, 0, 0];
  for (const batch of batches) {
    const shape = loss.shapeOf(batch);
    const key = shapeKey(shape);
    const build = () => driftProgram(subject, find, (name) => (roundedModule(name) === undefined ? find(name) : parts(name)), shape);
    const executable = compiled.get(key) ?? (await compileLenient(backend, build()));
    compiled.set(key, executable);
    const feeds: Record<string, HostTensor> = { ...loss.feeds(batch, shape), ...fixed };
    const { drift } = (await executable.run(feeds)) as Record<string, HostTensor>;
    // Labels are padded with some of no weight.
    const weights = feeds["weights"]?.data;
    for (let row = 0; row < drift.shape[0]; row++) {
      if (weights !== undefined && Number(weights[row % weights.length]) === 0) continue;
      const [square, most, agrees] = [0, 1, 2].map((column) => Number(drift.data[3 * row + column]));
      squares += square;
      largest = Math.max(largest, most);
      agreeing += agrees;
      rows++;
    }
  }
  for (const executable of compiled.values()) await executable.dispose();
  return { rms: Math.sqrt(squares / (rows * model.head.outputs)), largest: Math.sqrt(largest), agreement: agreeing / rows };
};

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((total, value, index) => total + value * b[index], 0);

const cosine = (a: Float32Array, b: Float32Array): number => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

/** Loss, gradient, time of a step, and bytes, over one form of the base. */
const stepsOver = async (backend: Backend, base: Base, subject: Subject, batches: readonly TrainingBatch[], parameters: Float32Array) => {
  const options = { ...subject, find: storedTensors(base) };
  const runner = trainingRunner(backend, options);
  const gradient = new Float32Array(subject.trainable.layout.size);
  const seconds: number[] = [];
  let [loss, weight] = [0, 0];
  try {
    // The first run of a program faults its memory in.
    await runner.run(batches[0], parameters, 0, 0);
    for (const batch of batches) {
      const began = performance.now();
      const result = await runner.run(batch, parameters, 0, 0);
      seconds.push((performance.now() - began) / 1000);
      loss += result.loss;
      weight += result.weight;
      result.gradient.forEach((value, index) => (gradient[index] += value));
    }
  } finally {
    await runner.dispose();
  }
  if (weight === 0)
    throw new LowrankError("invalid-data", "There is nothing to measure the loss on.", {
      fix: "Give data in which something is supervised.",
    });
  const shape = subject.loss.shapeOf(batches[0]);
  const bytes = {
    training: mappedBytes(trainingProgram({ ...options, shape })),
    inference: mappedBytes(lossProgram({ ...options, shape })),
  };
  return { loss: loss / weight, gradient, stepSeconds: median(seconds), bytes };
};

/**
 * Measures float32 first, then every form that a base can be held in, against it, yielding each as it is known.
 * @example for await (const { precision, gradientCosine } of measurePrecisions(backend, { open, stored, loss, batches })) console.log(precision, gradientCosine);
 */
export async function* measurePrecisions(backend: Backend, options: PrecisionOptions): AsyncGenerator<MeasuredPrecision> {
  const { open, stored, loss, batches } = options;
  const exact = await open();
  const { model } = exact;
  const trainable: Trainable = { ...trainableAdapter(model, stored), dropout: 0 };
  const subject = { model, trainable, loss };
  const { parameters } = stored;
  const { gradient: reference, ...first } = await stepsOver(backend, exact, subject, batches, parameters);
  yield { precision: "fp32", ...first, logits: { rms: 0, largest: 0, agreement: 1 }, gradientCosine: 1 };
  for (const precision of Object.keys(precisions) as PrecisionName[]) {
    const base = await open(precision);
    const { gradient, ...step } = await stepsOver(backend, base, subject, batches, parameters);
    const fixed = { ...trainable.constants, parameters: f32(parameters) };
    const logits = await driftOf(backend, subject, [exact, base], batches, fixed);
    yield { precision, ...step, logits, gradientCosine: cosine(gradient, reference) };
  }
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

/**
 * The form to train with: of those whose loss and gradient stay near float32's (`tolerated`), the one with the fastest step, and where several
 * are within a tenth of it the smallest. The first of `measured` is float32.
 */
export const recommendedPrecision = (
  measured: readonly MeasuredPrecision[],
): { readonly precision: MeasuredPrecision["precision"]; readonly reason: string } => {
  const [exact, ...others] = measured;
  const faults = ({ loss, gradientCosine }: MeasuredPrecision): string[] => [
    ...(gradientCosine >= tolerated.gradientCosine
      ? []
      : [`the cosine of its gradient is ${gradientCosine.toFixed(3)} (${tolerated.gradientCosine} is asked)`]),
    ...(Math.abs(loss - exact.loss) <= tolerated.lossDrift
      ? []
      : [`its loss is ${Math.abs(loss - exact.loss).toFixed(3)} off (${tolerated.lossDrift} is allowed)`]),
  ];
  const near = measured.filter((one) => faults(one).length === 0);
  const fastest = Math.min(...near.map(({ stepSeconds }) => stepSeconds));
  const best = near
    .filter(({ stepSeconds }) => stepSeconds <= 1.1 * fastest)
    .reduce((least, one) => (one.bytes.training < least.bytes.training ? one : least));
  if (best !== exact)
    return {
      precision: best.precision,
      reason:
        `the cosine of its gradient with float32's is ${best.gradientCosine.toFixed(4)} and its loss ${Math.abs(best.loss - exact.loss).toFixed(4)} off, ` +
        `a step takes ${percent(best.stepSeconds / exact.stepSeconds)} of the time, and its weights ${percent(best.bytes.training / exact.bytes.training)} of the bytes`,
    };
  const why = others.map((one) => `${one.precision}: ${faults(one).join(" and ") || "near enough, but no faster here"}`);
  return { precision: "fp32", reason: why.join("; ") };
};
