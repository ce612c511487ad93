/** @file Keeps adapters in PEFT's folders and takes them back, checked against the model tensor by tensor. It knows nothing about how they were trained. */
import { readPeftAdapter, writePeftAdapter } from "../formats/index.ts";
import type { Model, Task } from "../models/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";
import { labelsMetadata } from "./adapter-labels.ts";
import { namedIn, planAdapter, valuesOf, type Adapter, type StoredAdapter } from "./adapter.ts";
import { readLoraConfig, writeLoraConfig, type LoraConfig } from "./config.ts";
import { stackExperts, unstackExperts } from "./expert-files.ts";
import { candidatesOf } from "./kinds/index.ts";
import { isShifted, shiftNames } from "./shift.ts";
import { targetNames } from "./targets.ts";
import type { SavedContent } from "./variants/variant.ts";
import { isWhole } from "./whole.ts";

/** Under this key the file's metadata holds the digest of the base that the adapter was trained on. */
const digestKey = "lowrank.base";

/** Under this key it says how an adapter was started whose configuration no longer shows it. */
const startKey = "lowrank.start";

/**
 * A configuration as files have it. Readers make a start again that its name tells them of, which takes time, data or a changed base, and
 * is for nothing: the values are there.
 */
const withoutStart = (config: LoraConfig): LoraConfig => ({
  ...config,
  init_lora_weights: true,
  eva_config: null,
  corda_config: null,
  lora_ga_config: null,
});

/** An adapter as its kind has it in files. */
export const savedContent = (stored: StoredAdapter): SavedContent => {
  const { variant, targets, config } = stored.adapter;
  const whole = { config, targets, tensors: valuesOf(stored), metadata: {} };
  const content = variant.saved?.(whole) ?? whole;
  if ([...targets.values()].every(({ kind }) => kind.initialisation(config).needs === "nothing")) return content;
  return {
    ...content,
    config: withoutStart(content.config),
    metadata: { ...content.metadata, [startKey]: String(config.init_lora_weights) },
  };
};

const unnamed: ReadonlySet<string | null> = new Set<Task>(["SEQ_2_SEQ_LM"]);

/**
 * PEFT's class for encoder–decoders asks for a method that transformers 5 no longer has, so that an adapter that names this task cannot be
 * opened there. Without a task it can, by the class of its base, which PEFT then writes as well.
 */
const taskOf = ({ task_type: task }: LoraConfig, { type, config: { architectures } }: Model): Record<string, unknown> => {
  if (!unnamed.has(task)) return {};
  const mapping = { base_model_class: (architectures as string[])?.[0], parent_library: `transformers.models.${type}.modeling_${type}` };
  return { task_type: null, auto_mapping: mapping.base_model_class === undefined ? null : mapping };
};

/** Writes an adapter as PEFT reads it, with the digest of its base and the labels of its classifier. */
export const saveAdapter = async (directory: string, model: Model, stored: StoredAdapter, baseDigest: string): Promise<void> => {
  const { config, targets, tensors, metadata } = savedContent(stored);
  const expanded =
    config.target_modules === "all-linear" ? targetNames(candidatesOf(model), [...targets.values()], config) : config.target_modules;
  await writePeftAdapter(directory, {
    // Said for PEFT; read back, the model knows how its weights lie.
    config: {
      ...writeLoraConfig({ ...config, target_modules: expanded }),
      ...taskOf(config, model),
      fan_in_fan_out: model.linears.some(({ module, turned }) => turned && targets.has(module)),
    },
    tensors: stackExperts(targets.values(), tensors),
    metadata: { ...metadata, ...labelsMetadata(model.head), [digestKey]: baseDigest },
  });
};

/** What to do about tensors that do not fit: often the adapter is for another head. */
const remedy = ({ config: { task_type: task } }: Adapter, { head }: Model, otherwise: string): string =>
  task === null || task === head.task
    ? otherwise
    : `The adapter is for the task ${task} and the model's head for ${head.task}: use a command, or a head, that is for ${task}.`;

const list = (names: readonly string[]): string => names.slice(0, 4).join(", ") + (names.length > 4 ? ` and ${names.length - 4} more` : "");

/** Refuses tensors of another shape than the adapter has for them. */
const checkShapes = ({ layout, frozen }: Adapter, tensors: ReadonlyMap<string, HostTensor>, where: string): void => {
  const misshaped = [...layout.slots, ...frozen.slots].filter(
    ({ name, shape }) => tensors.has(name) && tensors.get(name)!.shape.join() !== shape.join(),
  );
  if (misshaped.length > 0)
    throw new LowrankError(
      "adapter-mismatch",
      `${misshaped.length} tensors have another shape than the model needs: ${list(
        misshaped.map(({ name, shape }) => `${name} is [${tensors.get(name)!.shape.join(", ")}], needed [${shape.join(", ")}]`),
      )}.`,
      { where, fix: "Use the base that the adapter was trained on." },
    );
};

const checkTensors = (adapter: Adapter, model: Model, tensors: ReadonlyMap<string, HostTensor>, where: string): void => {
  const leftOut = new Set(shiftNames(adapter));
  const kept = [...adapter.layout.slots, ...adapter.frozen.slots].filter(({ name }) => !leftOut.has(name));
  const slots = new Map(kept.map((slot) => [slot.name, slot]));
  const missing = [...slots.keys()].filter((name) => !tensors.has(name));
  const extra = [...tensors.keys()].filter((name) => !slots.has(name));
  if (missing.length > 0)
    throw new LowrankError("adapter-mismatch", `The adapter lacks ${missing.length} of its tensors: ${list(missing)}.`, {
      where,
      fix: remedy(adapter, model, "Copy the adapter again, or check that its configuration belongs to it."),
    });
  if (extra.length > 0)
    throw new LowrankError(
      "adapter-mismatch",
      `The adapter has ${extra.length} tensors that its configuration gives no place in this model: ${list(extra)}.`,
      {
        where,
        fix: remedy(adapter, model, "Use the base and the configuration that the adapter was trained with."),
      },
    );
};

/** Refuses values that are no numbers, which a run that diverged leaves. */
const checkFinite = (name: string, values: Float32Array, where: string): void => {
  let index = 0;
  while (index < values.length && Number.isFinite(values[index])) index++;
  if (index < values.length)
    throw new LowrankError("invalid-file", `${name} holds values that are not finite numbers.`, {
      where,
      fix: "Take an earlier checkpoint of the run, or train again with a lower learning rate.",
    });
};

/**
 * An adapter that was saved as it was trained, beside a base that its start had taken a part from. PEFT takes that part again when it loads
 * such an adapter; so does this, where the base alone decides which part it was.
 */
const startAgain = async (adapter: Adapter, start: LoadAdapterOptions["start"], where: string): Promise<StoredAdapter> => {
  const { config, targets } = adapter;
  const unrepeatable = [...targets.values()].find(
    (target) => isShifted(target, config) && target.kind.initialisation(config).repeats?.(target) !== true,
  );
  if (unrepeatable !== undefined)
    throw new LowrankError(
      "unsupported",
      `The adapter was saved as it was trained, beside a base that its start ("init_lora_weights": "${String(config.init_lora_weights)}") ` +
        `had changed, and the base alone does not tell how it changed ${unrepeatable.module}.`,
      { where, fix: "Save it again with PEFT, converted: save_pretrained(…, path_initial_model_for_weight_conversion=…)." },
    );
  if (start === undefined)
    throw new LowrankError("unsupported", "The adapter was saved as it was trained, beside a changed base, which is not at hand here.", {
      where,
      fix: "Save it again, converted to plain LoRA.",
    });
  return start(adapter);
};

const checkRounding = ({ targets, config }: Adapter, where: string): void => {
  if ([...targets.values()].some(({ kind }) => kind.initialisation(config).needs === "rounding"))
    throw new LowrankError(
      "unsupported",
      `The adapter belongs to a base that PEFT rounds when it loads it ("init_lora_weights": "${String(config.init_lora_weights)}").`,
      { where, fix: "Merge it into that base with PEFT, and use the merged model." },
    );
};

export interface LoadAdapterOptions {
  /** Digest of the base at hand; an adapter that was trained on another one is refused. */
  readonly baseDigest: string;
  /** Loads it nevertheless. Default false. */
  readonly allowOtherBase?: boolean;
  /** Starts an adapter on the base at hand, for those that were saved beside a base that their start had changed; default refuses them. */
  readonly start?: (adapter: Adapter) => Promise<StoredAdapter>;
}

/**
 * Reads an adapter folder for a model. Refused: tensors missing, left over or of a wrong shape, an adapter without any effect,
 * and one that records another base.
 */
export const loadAdapter = async (
  directory: string,
  model: Model,
  { baseDigest, allowOtherBase = false, start }: LoadAdapterOptions,
): Promise<StoredAdapter> => {
  const { config, metadata, ...content } = await readPeftAdapter(directory);
  const recorded = metadata[digestKey];
  if (recorded !== undefined && recorded !== baseDigest && !allowOtherBase)
    throw new LowrankError(
      "adapter-mismatch",
      `The adapter was trained on the base ${recorded.slice(0, 19)}…, and this one is ${baseDigest.slice(0, 19)}….`,
      {
        where: directory,
        fix: "Name its base with --model, or pass --allow-other-base if you mean it.",
      },
    );
  const adapter = planAdapter(model, readLoraConfig(config, `${directory}/adapter_config.json`));
  const { layout, frozen, variant, targets } = adapter;
  checkRounding(adapter, directory);
  const read: SavedContent = { config: adapter.config, targets, tensors: unstackExperts([...targets.values()], content.tensors), metadata };
  const { tensors } = variant.opened?.(read) ?? read;
  checkShapes(adapter, tensors, directory);
  checkTensors(adapter, model, tensors, directory);
  const stored: StoredAdapter =
    shiftNames(adapter).length > 0
      ? await startAgain(adapter, start, directory)
      : { adapter, parameters: new Float32Array(layout.size), frozen: new Float32Array(frozen.size) };
  const values = valuesOf(stored);
  const view = (name: string): Float32Array => values.get(name)!.data as Float32Array;
  for (const [name, { data }] of tensors) {
    checkFinite(name, data as Float32Array, directory);
    view(name).set(data as Float32Array);
  }
  const acts =
    adapter.tokens.length > 0 ||
    layout.slots.some(isWhole) ||
    [...targets.values()].some((target) => variant.acts(target, (name) => namedIn(values, target.module)(name).data as Float32Array));
  if (!acts)
    throw new LowrankError("adapter-mismatch", "The adapter has no effect: its update is zero in every module.", {
      where: directory,
      fix: "Train it first.",
    });
  return stored;
};
