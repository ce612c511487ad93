/** @file What starting values learn from data before training: moments of what modules read, and gradients of their weights. It knows no initialisation. */
import { planBatches } from "../data/index.ts";
import { add, divide, gradients, input, matmul, max, multiply, program, sum, type Graph, type Tensor } from "../graph/index.ts";
import { findBase, type AdapterTarget, type Calibration, type InputMoments, type InputOptions } from "../lora/index.ts";
import { modelModules, storedTensors, type Base } from "../models/index.ts";
import type { Modules } from "../nn/index.ts";
import type { Backend, Executable, Feed, Resident } from "../runtime/index.ts";
import { f32, LowrankError, sizeOf, type HostTensor } from "../util/index.ts";
import { rowFeeds, type LabelledRows } from "./feeds.ts";
import { hiddenStates, tokenInputs } from "./forward.ts";
import type { Loss, StepShape, TrainingBatch } from "./losses/loss.ts";
import { shapeKey } from "./programs.ts";

/** Sums that are collected at once; modules beyond them take further passes over the data. */
const mostBytes = 1 << 29;

/** Runs of items whose sizes together stay within the limit, at least one item each. */
const grouped = <T>(items: readonly T[], bytesOf: (item: T) => number): T[][] => {
  const groups: T[][] = [];
  let room = 0;
  for (const item of items) {
    room -= bytesOf(item);
    if (groups.length === 0 || room < 0) {
      groups.push([]);
      room = mostBytes - bytesOf(item);
    }
    groups[groups.length - 1].push(item);
  }
  return groups;
};

interface Pass<Batch> {
  shapeOf(batch: Batch): StepShape;
  feeds(batch: Batch, shape: StepShape): Record<string, Feed>;
  /** What is summed over the batches. */
  outputs(shape: StepShape): Readonly<Record<string, Tensor>>;
}

const before = (name: string): string => `${name} before`;

/** Sums of a program's outputs over batches; they stay with the backend until they are whole. */
const sumsOf = async <Batch>(backend: Backend, batches: readonly Batch[], pass: Pass<Batch>): Promise<Record<string, HostTensor>> => {
  const compiled = new Map<string, { readonly graph: Graph; readonly executable: Executable }>();
  const sums = new Map<string, Resident>();
  const compile = async (shape: StepShape) => {
    const outputs = Object.entries(pass.outputs(shape));
    for (const [name, { shape }] of outputs)
      if (!sums.has(name)) sums.set(name, await backend.upload(f32(new Float32Array(sizeOf(shape)), shape)));
    const graph = program(Object.fromEntries(outputs.map(([name, tensor]) => [name, add(input(before(name), tensor.shape), tensor)])));
    return { graph, executable: await backend.compile(graph) };
  };
  try {
    for (const batch of batches) {
      const shape = pass.shapeOf(batch);
      const key = shapeKey(shape);
      const step = compiled.get(key) ?? (await compile(shape));
      compiled.set(key, step);
      const names = [...sums.keys()];
      const feeds = { ...pass.feeds(batch, shape), ...Object.fromEntries(names.map((name) => [before(name), sums.get(name)!])) };
      // The first layers' inputs need less than the whole model does.
      const needed = Object.fromEntries(Object.entries(feeds).filter(([name]) => step.graph.inputs.has(name)));
      const after = (await step.executable.run(needed, { keep: names })) as Record<string, Resident>;
      for (const name of names) {
        await backend.release(sums.get(name)!);
        sums.set(name, after[name]);
      }
    }
    const found: Record<string, HostTensor> = {};
    for (const [name, resident] of sums) found[name] = await backend.download(resident);
    return found;
  } finally {
    for (const resident of sums.values()) await backend.release(resident);
    for (const { executable } of compiled.values()) await executable.dispose();
  }
};

/** Rows of what a module reads that count: all tokens, or the supervised ones alone; 1 or 0 for each (N). */
const rowMask = ({ segments, labels, length }: LabelledRows, rows: InputOptions["rows"]): Float32Array =>
  // A label is that of the token which follows, so a supervised token is one that the position before it predicts.
  Float32Array.from(segments, (segment, index) =>
    Number(segment > 0 && (rows === "all" || (index % length > 0 && labels[index - 1] >= 0))),
  );

/** Modules that remember what the linear ones read. */
const recording = (modules: Modules, seen: Map<string, Tensor>): Modules => {
  const linear = (module: string, x: Tensor): Tensor => {
    seen.set(module, x);
    return modules.linear(module, x);
  };
  return { ...modules, linear, linears: (names, x) => names.map((name) => linear(name, x)) };
};

/** What a module has read (N, in), one row for each token. */
const readBy = (module: string, seen: ReadonlyMap<string, Tensor>, rows: number): Tensor => {
  const x = seen.get(module);
  if (x === undefined || x.shape[0] !== rows)
    throw new LowrankError("unsupported", "This start looks at what modules read of each token, and this one does not read every token.", {
      where: module,
      fix: "Leave it out of the targets, or choose another start.",
    });
  return x;
};

const isRows = (batch: TrainingBatch): batch is TrainingBatch & LabelledRows => "segments" in batch && "labels" in batch;

export interface CalibrationOptions {
  readonly backend: Backend;
  readonly base: Base;
  readonly loss: Loss;
  readonly batches: readonly TrainingBatch[];
}

export interface CalibrationBatches<Example> {
  readonly examples: readonly Example[];
  /** Batches at most, from the beginning of the first pass over the data. */
  readonly count: number;
  readonly batchSize: number;
  readonly sequenceLength: number;
  readonly seed: number;
}

/** The batches that a start learns from: those that training begins with. */
export const calibrationBatches = <Example>(
  { kind }: Loss<Example>,
  { examples, count, batchSize, sequenceLength, seed }: CalibrationBatches<Example>,
): TrainingBatch[] =>
  planBatches(kind, { examples, batchSize, maxLength: sequenceLength, seed, epoch: 0 })
    .slice(0, count)
    .map((plan) => kind.collate(plan));

/** What batches say about a base, computed when it is asked for; memory stays bounded, whatever the model. */
export const calibrationOf = ({ backend, base, batches, loss }: CalibrationOptions): Calibration => {
  const { model } = base;
  const parameters = new Set(model.parameters.map(({ name }) => name));
  /** The sums, and for each module the one under whose name they are: of those that read the same, the first. */
  const inputSums = async (batches: readonly LabelledRows[], targets: readonly AdapterTarget[], { rows, scale }: InputOptions) => {
    const first = new Map<string, string>();
    const sums = await sumsOf(backend, batches, {
      shapeOf: ({ rows: B, length: T }) => ({ B, T }),
      feeds: (batch, { B, T }) => ({ ...rowFeeds(batch), mask: f32(rowMask(batch, rows), [B * T, 1]) }),
      outputs: (shape) => {
        const seen = new Map<string, Tensor>();
        const modules = recording(modelModules(model, storedTensors(base)), seen);
        const hidden = hiddenStates({ model, differentiable: false }, modules, tokenInputs(shape));
        model.head.logits(modules, hidden);
        const mask = input("mask", [shape.B * shape.T, 1]);
        const readers = new Map<Tensor, string>();
        for (const { module } of targets) {
          const read = readBy(module, seen, shape.B * shape.T);
          if (!readers.has(read)) readers.set(read, module);
          first.set(module, readers.get(read)!);
        }
        return Object.fromEntries(
          [...readers].flatMap(([read, module]) => {
            const masked = multiply(read, mask); // (N, in)
            const x = scale === "largest" ? divide(masked, max(masked, [0, 1])) : masked;
            return [
              [`${module} second`, matmul(x, x, { transposeA: true })], // (in, in)
              [`${module} sum`, sum(x, [0])], // (1, in)
            ];
          }),
        );
      },
    });
    return { sums, first };
  };

  const gradientSums = (targets: readonly AdapterTarget[]): Promise<Record<string, HostTensor>> =>
    sumsOf(backend, batches, {
      shapeOf: (batch) => loss.shapeOf(batch),
      feeds: (batch, shape) => loss.feeds(batch, shape),
      outputs: (shape) => {
        // A rounded form of a weight has no gradient; the weight itself has.
        const stored = storedTensors(base);
        const find = (name: string): Tensor | undefined => (parameters.has(name) ? stored(name) : undefined);
        const weights = targets.map(({ module }) => findBase(model, find, `${module}.weight`)!);
        const modules = modelModules(model, find, weights);
        const parts = loss.build({ model, modules, reference: () => modelModules(model, find), differentiable: true }, shape);
        const found = gradients(divide(parts.loss, parts.weight), weights);
        return Object.fromEntries(targets.map(({ module }, index) => [module, found[index]]));
      },
    });

  return {
    inputs: async function* (targets, options) {
      const labelled = batches.filter(isRows);
      if (labelled.length < batches.length)
        throw new LowrankError("unsupported", `This start looks at rows of tokens, and the examples of the loss "${loss.name}" are none.`, {
          fix: "Choose another start.",
        });
      const rows = labelled.reduce((total, batch) => total + rowMask(batch, options.rows).reduce((count, value) => count + value, 0), 0);
      for (const group of grouped(targets, ({ inFeatures }) => 4 * inFeatures ** 2)) {
        const { sums, first } = await inputSums(labelled, group, options);
        const moments = new Map<string, InputMoments>();
        for (const { module } of group) {
          const name = first.get(module)!;
          const [second, sum] = ["second", "sum"].map((part) => sums[`${name} ${part}`].data as Float32Array);
          moments.set(name, moments.get(name) ?? { second, sum, rows, batches: batches.length });
          yield moments.get(name)!;
        }
      }
    },
    gradients: async function* (targets) {
      for (const group of grouped(targets, ({ inFeatures, outFeatures }) => 4 * inFeatures * outFeatures)) {
        const sums = await gradientSums(group);
        for (const { module } of group) {
          const { shape, data } = sums[module];
          yield f32(
            (data as Float32Array).map((value) => value / batches.length),
            shape,
          );
        }
      }
    },
  };
};
