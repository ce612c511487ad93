/** @file What a run trains: an adapter beside a frozen base, or every parameter. It knows nothing about optimisers or data. */
import type { Tensor } from "../graph/index.ts";
import {
  adaptedModules,
  frozenFeeds,
  frozenTensors,
  namedIn,
  slotTensors,
  wholeRole,
  type Dropout,
  type StoredAdapter,
} from "../lora/index.ts";
import { modelModules, startValues, type Model } from "../models/index.ts";
import { layoutOf, viewOf, type Modules, type ParameterLayout } from "../nn/index.ts";
import type { HostTensor } from "../util/index.ts";
import { adjusted } from "./optim/adjusted.ts";
import type { Optimiser } from "./optim/optimiser.ts";

/** The tensors of the stored base by name; none where a model is trained from scratch. */
export type Find = (name: string) => Tensor | undefined;

export interface Trainable {
  /** Places of the trained tensors in the flat vector. */
  readonly layout: ParameterLayout;
  /** What a step is fed beside the trained tensors and never changes; nothing for most. */
  readonly constants: Readonly<Record<string, HostTensor>>;
  /** Probability of dropout on what the adapter reads; 0 without an adapter. */
  readonly dropout: number;
  /** The model's modules, given the trained tensors by slot name and the stored base. */
  modules(tensors: ReadonlyMap<string, Tensor>, find: Find, dropout?: Dropout): Modules;
  /** A scalar that a training step adds to the mean loss; default nothing. */
  penalty?(tensors: ReadonlyMap<string, Tensor>): Tensor;
  /** The optimiser with what an update does beside its rule; default nothing. */
  adjust?(optimiser: Optimiser): Optimiser;
}

/** Trains an adapter; the base stays as it is. */
export const trainableAdapter = (model: Model, stored: StoredAdapter): Trainable => {
  const { adapter } = stored;
  const { config, variant, targets } = adapter;
  return {
    layout: adapter.layout,
    constants: frozenFeeds(stored),
    dropout: config.lora_dropout,
    modules: (tensors, find, dropout) => {
      const all = new Map([...tensors, ...frozenTensors(adapter.frozen)]);
      return adaptedModules({ model, find, active: [{ adapter, tensors: all, weight: 1 }], trainable: [...tensors.values()], dropout });
    },
    ...(variant.penalty && {
      penalty: (tensors) => variant.penalty!([...targets.keys()].map((module) => ({ config, tensors: namedIn(tensors, module) }))),
    }),
    adjust: (optimiser) => adjusted(optimiser, stored),
  };
};

/** Trains every parameter of the model. */
export const trainableModel = (model: Model): Trainable => ({
  layout: layoutOf(model.parameters.map(({ name, shape }) => ({ name, shape, role: wholeRole(name) }))),
  constants: {},
  dropout: 0,
  modules: (tensors) => modelModules(model, (name) => tensors.get(name), [...tensors.values()]),
});

/** Starting values of a model that is trained from scratch; each tensor has a stream of its own. */
export const freshParameters = (model: Model, seed: number): Float32Array => {
  const { slots, size } = trainableModel(model).layout;
  const flat = new Float32Array(size);
  slots.forEach((slot, index) => viewOf(flat, slot).set(startValues(model.parameters[index], seed)));
  return flat;
};

/** Graph tensors of the trained slots. */
export const trainedTensors = (trainable: Trainable, flat: Tensor): Map<string, Tensor> => slotTensors(trainable.layout, flat);
