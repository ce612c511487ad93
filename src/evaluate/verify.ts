/** @file Holds the engine against a recorded reference: logits of base, adapter and merged model, every gradient, ten AdamW steps. It prints nothing. */
import { join } from "node:path";
import { ourName, readJsonObject, readSafetensorsHeader, readTensor, readTensorF32 } from "../formats/index.ts";
import { gather, input, integers } from "../graph/index.ts";
import { mergedInference } from "../generate/inference.ts";
import {
  adaptedModules,
  frozenFeeds,
  frozenTensors,
  loadAdapter,
  loadedOn,
  peftTypeOf,
  slotTensors,
  stackExperts,
  type StoredAdapter,
} from "../lora/index.ts";
import { modelModules, openBase, storedTensors, type Base, type Model } from "../models/index.ts";
import { viewOf, type Modules } from "../nn/index.ts";
import { runOnce, type Backend, type Feed } from "../runtime/index.ts";
import { adamw } from "../train/optim/adamw.ts";
import { clippingOf } from "../train/clip.ts";
import { lossOfHead } from "../train/losses/head.ts";
import { metricPrefix, stepCompilation, trainingProgram } from "../train/step.ts";
import { trainableAdapter } from "../train/trainable.ts";
import { f32, LowrankError, type Half, type HostTensor } from "../util/index.ts";
import { distanceOf, relativeDifferences, type Distance } from "./distance.ts";
import { recordedOf, withRecordedPadding, type Recorded } from "./recorded.ts";

export interface Verification {
  /**
   * What the recording's whole module was cast to before it was computed in float32, which rounds what PyTorch keeps beside the parameters
   * (`Model.withRoundedBuffers`); all but the merged logits, which were recorded from a module loaded anew, is compared with a model that
   * is rounded alike. Absent where nothing was rounded.
   */
  readonly rounded?: Half;
  /**
   * Largest absolute difference of logits, where the attention mask is 1. Of an encoder–decoder, where there is a label, and as a share of
   * the largest logit where that is above 1.
   */
  readonly logits: { readonly base: number; readonly adapter: number; readonly merged: number };
  /** Relative L2 difference of each gradient, by the parameter's name; of one that is a 100,000th of the whole or less, relative to that. */
  readonly gradients: Readonly<Record<string, number>>;
  /** Absolute difference of the loss before each AdamW step; of an encoder–decoder as a share of the loss where that is above 1. */
  readonly losses: readonly number[];
  /** Relative difference of the gradient's norm at each AdamW step. */
  readonly norms: readonly number[];
}

interface Golden {
  readonly adamw: {
    readonly lr: number;
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly weight_decay: number;
    readonly max_grad_norm: number;
    readonly steps: readonly { readonly loss: number; readonly grad_norm: number }[];
  };
  readonly recipe?: { readonly dtype?: string };
}

const halves: Readonly<Record<string, Half>> = { "torch.bfloat16": "bf16", "torch.float16": "f16" };

const computedLogits = async (
  backend: Backend,
  model: Model,
  modules: Modules,
  recorded: Recorded,
  feeds: Readonly<Record<string, Feed>>,
) => {
  const hidden = recorded.states(model, modules);
  const { logits } = await runOnce(
    backend,
    { logits: model.head.logits(modules, gather(hidden, integers([...recorded.places]))) },
    { ...recorded.feeds, ...feeds },
  );
  return logits.data as Float32Array;
};

const largestDifference = (ours: Float32Array, theirs: Float32Array, { recorded, isRelative }: Recorded): number => {
  const width = ours.length / recorded.length;
  const expected = ours.map((_, index) => theirs[recorded[Math.floor(index / width)] * width + (index % width)]);
  const size = expected.reduce((most, logit) => Math.max(most, Math.abs(logit)), 1);
  const difference = ours.reduce((largest, value, index) => Math.max(largest, Math.abs(value - expected[index])), 0);
  return isRelative ? difference / size : difference;
};

const trainAsRecorded = async (
  backend: Backend,
  base: Base,
  stored: StoredAdapter,
  { batch, isRelative }: Recorded,
  { adamw: recipe }: Golden,
) => {
  const { model } = base;
  const loss = lossOfHead(model);
  const shape = loss.shapeOf(batch);
  const trainable = trainableAdapter(model, stored);
  const executable = await backend.compile(trainingProgram({ model, find: storedTensors(base), trainable, loss, shape }), stepCompilation);
  const feeds = { ...loss.feeds(batch, shape), ...trainable.constants };
  const trained = stored.parameters.slice();
  const optimiser = adamw(stored.adapter.layout, {
    beta1: recipe.betas[0],
    beta2: recipe.betas[1],
    epsilon: recipe.eps,
    weightDecay: recipe.weight_decay,
  });
  const losses: number[] = [];
  const norms: number[] = [];
  let first: Float32Array | undefined;
  for (const step of recipe.steps) {
    const {
      loss: sum,
      weight,
      gradient,
      ...metrics
    } = (await executable.run({ ...feeds, parameters: f32(trained) })) as Record<string, HostTensor>;
    const count = Number(weight.data[0]);
    const penalty = Number(metrics[`${metricPrefix}penalty`]?.data[0] ?? 0); // part of the loss that a reference records
    const mean = (gradient.data as Float32Array).map((value) => value / count);
    first ??= mean.slice();
    losses.push(Math.abs((Number(sum.data[0]) + penalty) / count - step.loss) / (isRelative ? Math.max(1, step.loss) : 1));
    const { norm, factor } = clippingOf(mean, recipe.max_grad_norm);
    norms.push(Math.abs(norm / step.grad_norm - 1));
    optimiser.update(trained, mean, recipe.lr, factor);
  }
  await executable.dispose();
  return { losses, norms, first: first! };
};

const gradientPrefix = "grad.";

/** The key that PEFT gives a parameter in files, from the one in memory. */
const fileKey = (parameter: string): string =>
  parameter.replace(".modules_to_save.", ".").replace(/\.lora_magnitude_vector\.weight$/, ".lora_magnitude_vector");

/** Compares with the reference in a folder: `model/`, `adapter/`, `golden.safetensors` and `golden.json`. */
export const verifyGolden = async (backend: Backend, directory: string): Promise<Verification> => {
  const recorded = await readSafetensorsHeader(join(directory, "golden.safetensors"));
  const location = (name: string) => {
    const found = recorded.tensors.get(name);
    if (found === undefined) throw new LowrankError("not-found", `The reference has no tensor "${name}".`, { where: recorded.path });
    return found;
  };
  const floats = async (name: string): Promise<Float32Array> => (await readTensorF32(location(name))).data as Float32Array;
  const golden = (await readJsonObject(join(directory, "golden.json"))) as unknown as Golden;

  const base = await openBase(join(directory, "model"));
  const half = halves[golden.recipe?.dtype ?? ""];
  const rounded = half && base.model.withRoundedBuffers?.(half);
  const model = withRecordedPadding(rounded ?? base.model);
  const recordedBase = { ...base, model };
  const stored = await loadAdapter(join(directory, "adapter"), model, {
    ...loadedOn(base, backend),
  });
  const [ids, mask, labels] = await Promise.all(["input_ids", "attention_mask", "labels"].map((name) => readTensor(location(name))));
  const compared = recordedOf(model, ids, mask, labels);
  const find = storedTensors(base);

  const { layout, frozen } = stored.adapter;
  const tensors = new Map([...slotTensors(layout, input("parameters", [layout.size])), ...frozenTensors(frozen)]);
  const adapted = adaptedModules({ model, find, active: [{ adapter: stored.adapter, tensors, weight: 1 }] });
  const merged = await mergedInference(backend, base, [{ ...stored, weight: 1 }]);
  const difference = async (from: Model, name: string, modules: Modules, feeds: Readonly<Record<string, Feed>>): Promise<number> =>
    largestDifference(await computedLogits(backend, from, modules, compared, feeds), await floats(name), compared);

  const { losses, norms, first } = await trainAsRecorded(backend, recordedBase, stored, compared, golden);
  const ours = stackExperts(
    stored.adapter.targets.values(),
    new Map(layout.slots.map((slot) => [slot.name, f32(viewOf(first, slot), slot.shape)])),
  );
  const distances = new Map<string, Distance>();
  for (const name of recorded.tensors.keys()) {
    if (!name.startsWith(gradientPrefix)) continue;
    const place = ourName(fileKey(name.slice(gradientPrefix.length)), peftTypeOf(stored.adapter.config));
    const gradient = ours.get(place?.name ?? "");
    if (gradient === undefined)
      throw new LowrankError("adapter-mismatch", `The reference has a gradient "${name}" and the adapter no such parameter.`, {
        where: directory,
      });
    const theirs = await floats(name);
    const [rows, columns] = gradient.shape;
    // A turned tensor's element (i, j) lies at (j, i) in the reference.
    const at = (index: number): number => (place!.turned ? (index % columns) * rows + Math.floor(index / columns) : index);
    distances.set(
      place!.name,
      distanceOf(gradient.data as Float32Array, (index) => theirs[at(index)]),
    );
  }
  const untold = [...ours.keys()].find((name) => !distances.has(name));
  if (untold !== undefined)
    throw new LowrankError("adapter-mismatch", `The reference has no gradient for "${untold}".`, { where: recorded.path });
  // PEFT folds an update of an embedding into the head that is tied to it, and no longer says what the adapter does; here merging changes nothing.
  const isHeadSpoilt = Object.entries(model.aliases)
    .flat()
    .some((name) => stored.adapter.targets.has(name.slice(0, -".weight".length)));
  const logits = {
    base: await difference(model, "logits_base", modelModules(model, find), {}),
    adapter: await difference(model, "logits_adapter", adapted, { parameters: f32(stored.parameters), ...frozenFeeds(stored) }),
    merged: await difference(
      withRecordedPadding(merged.model),
      isHeadSpoilt ? "logits_adapter" : "logits_merged",
      merged.modules(),
      merged.feeds,
    ),
  };
  await merged.dispose();
  return { logits, gradients: relativeDifferences(distances), losses, norms, ...(rounded && { rounded: half }) };
};
