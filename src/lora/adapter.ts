/** @file An adapter planned for a model: its targets and its places in the flat vectors of trained and of frozen tensors. It knows nothing about files or graphs. */
import type { Model } from "../models/index.ts";
import { layoutOf, viewOf, type ParameterLayout, type ParameterSlot } from "../nn/index.ts";
import { f32, LowrankError, type HostTensor } from "../util/index.ts";
import type { LoraConfig } from "./config.ts";
import { withExpertParameters } from "./expert-targets.ts";
import { candidatesOf } from "./kinds/index.ts";
import { sharesOf, type Share } from "./shares.ts";
import { isShifted } from "./shift.ts";
import { selectTargets, type AdapterTarget } from "./targets.ts";
import { rowParameters, tokenRows, type TokenRows } from "./tokens.ts";
import { variantOf } from "./variants/index.ts";
import type { Variant } from "./variants/variant.ts";
import { wholeParameters } from "./whole.ts";

export interface Adapter {
  readonly config: LoraConfig;
  readonly variant: Variant;
  readonly targets: ReadonlyMap<string, AdapterTarget>;
  /** Rows of tokens that it trains on their own. */
  readonly tokens: readonly TokenRows[];
  /** What acts on each of the model's modules. */
  readonly shares: ReadonlyMap<string, Share>;
  /** What is trained: `<module>.lora_A`, `<module>.lora_B` …, and by the checkpoint's name where a tensor is trained whole. */
  readonly layout: ParameterLayout;
  /** What the adapter needs beside that and never trains, in a flat vector of its own; empty for most. */
  readonly frozen: ParameterLayout;
}

/** An adapter with its values. */
export interface StoredAdapter {
  readonly adapter: Adapter;
  readonly parameters: Float32Array;
  /** As long as `adapter.frozen`. */
  readonly frozen: Float32Array;
}

/**
 * Plans an adapter for a model.
 * @example const adapter = planAdapter(base.model, loraConfig({ r: 8 }));
 */
export const planAdapter = (model: Model, given: LoraConfig): Adapter => {
  const config = withExpertParameters(model, given);
  const targets = new Map(selectTargets(candidatesOf(model), config).map((target) => [target.module, target]));
  const variant = variantOf(config);
  const foreign = [...targets.values()].find(({ kind }) => !variant.kinds.includes(kind));
  if (foreign !== undefined)
    throw new LowrankError("unsupported", `${variant.name} does not adapt the ${foreign.kind.name} ${foreign.module}.`, {
      fix: 'Leave it out of "target_modules", or choose plain LoRA.',
    });
  const expert = [...targets.values()].find(({ parameter }) => parameter !== undefined);
  if (expert !== undefined && config.lora_dropout > 0)
    throw new LowrankError("invalid-config", `"lora_dropout" is ${config.lora_dropout} where experts are adapted: ${expert.parameter}.`, {
      fix: "Set it to 0, or leave the experts out.",
    });
  const shifted = [...targets.values()].find((target) => isShifted(target, config));
  if (shifted !== undefined && variant.shifts !== true)
    throw new LowrankError("unsupported", `${variant.name} cannot begin with "init_lora_weights": "${String(config.init_lora_weights)}".`, {
      fix: "Choose another start, or plain LoRA.",
    });
  const own = [
    ...(variant.shared?.parameters([...targets.values()], config) ?? []),
    ...[...targets.values()].flatMap((target) =>
      variant.parameters(target, config).map((parameter) => ({ ...parameter, name: `${target.module}.${parameter.name}` })),
    ),
  ];
  const tokens = tokenRows(model, config, targets);
  const trained = own.filter(({ frozen }) => !frozen);
  return {
    config,
    variant,
    targets,
    tokens,
    shares: sharesOf(targets.values()),
    layout: layoutOf([...trained, ...rowParameters(tokens), ...wholeParameters(model, config, targets)]),
    frozen: layoutOf(own.filter(({ frozen }) => frozen)),
  };
};

/** The values of an adapter's tensors by their names in its layouts; views, not copies. */
export const valuesOf = ({ adapter, parameters, frozen }: StoredAdapter): Map<string, HostTensor> => {
  const views = (slots: readonly ParameterSlot[], flat: Float32Array): [string, HostTensor][] =>
    slots.map((slot) => [slot.name, f32(viewOf(flat, slot), slot.shape)]);
  return new Map([...views(adapter.layout.slots, parameters), ...views(adapter.frozen.slots, frozen)]);
};

/** Finds a target's tensors by their short names, and those that all targets share. */
export const namedIn =
  <T>(tensors: ReadonlyMap<string, T>, module: string): ((name: string) => T) =>
  (name) =>
    tensors.get(`${module}.${name}`) ?? tensors.get(name)!;
