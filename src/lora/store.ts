/** @file Keeps adapters in PEFT's folders and takes them back, checked against the model tensor by tensor. It knows nothing about how they were trained. */
import { readPeftAdapter, writePeftAdapter } from "../formats/index.ts";
import type { Model } from "../models/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";
import { planAdapter, valuesOf, type Adapter, type StoredAdapter } from "./adapter.ts";
import { readLoraConfig, writeLoraConfig } from "./config.ts";
import { candidatesOf } from "./kinds/index.ts";
import { targetNames } from "./targets.ts";
import type { SavedContent } from "./variants/variant.ts";
import { isWhole } from "./whole.ts";

/** Under this key the file's metadata holds the digest of the base that the adapter was trained on. */
const digestKey = "lowrank.base";

/** An adapter as its kind has it in files. */
export const savedContent = (stored: StoredAdapter): SavedContent => {
  const { variant, targets, config } = stored.adapter;
  const whole = { config, targets, tensors: valuesOf(stored), metadata: {} };
  return variant.saved?.(whole) ?? whole;
};

/** Writes an adapter as PEFT reads it, with the digest of its base. */
export const saveAdapter = async (directory: string, model: Model, stored: StoredAdapter, baseDigest: string): Promise<void> => {
  const { config, targets, tensors, metadata } = savedContent(stored);
  const expanded =
    config.target_modules === "all-linear" ? targetNames(candidatesOf(model), [...targets.values()], config) : config.target_modules;
  await writePeftAdapter(directory, {
    // Said for PEFT; read back, the model knows how its weights lie.
    config: {
      ...writeLoraConfig({ ...config, target_modules: expanded }),
      fan_in_fan_out: model.linears.some(({ module, turned }) => turned && targets.has(module)),
    },
    tensors,
    metadata: { ...metadata, [digestKey]: baseDigest },
  });
};

const checkTensors = (adapter: Adapter, tensors: ReadonlyMap<string, HostTensor>, where: string): void => {
  const slots = new Map([...adapter.layout.slots, ...adapter.frozen.slots].map((slot) => [slot.name, slot]));
  const list = (names: readonly string[]): string =>
    names.slice(0, 4).join(", ") + (names.length > 4 ? ` and ${names.length - 4} more` : "");
  const missing = [...slots.keys()].filter((name) => !tensors.has(name));
  const extra = [...tensors.keys()].filter((name) => !slots.has(name));
  const misshaped = [...slots.values()].filter(({ name, shape }) => tensors.has(name) && tensors.get(name)!.shape.join() !== shape.join());
  if (missing.length > 0)
    throw new LowrankError("adapter-mismatch", `The adapter lacks ${missing.length} of its tensors: ${list(missing)}.`, {
      where,
      fix: "Copy the adapter again, or check that its configuration belongs to it.",
    });
  if (extra.length > 0)
    throw new LowrankError(
      "adapter-mismatch",
      `The adapter has ${extra.length} tensors that its configuration gives no place in this model: ${list(extra)}.`,
      {
        where,
        fix: "Use the base and the configuration that the adapter was trained with.",
      },
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

export interface LoadAdapterOptions {
  /** Digest of the base at hand; an adapter that was trained on another one is refused. */
  readonly baseDigest: string;
  /** Loads it nevertheless. Default false. */
  readonly allowOtherBase?: boolean;
}

/**
 * Reads an adapter folder for a model. Refused: tensors missing, left over or of a wrong shape, an adapter without any effect,
 * and one that records another base.
 */
export const loadAdapter = async (
  directory: string,
  model: Model,
  { baseDigest, allowOtherBase = false }: LoadAdapterOptions,
): Promise<StoredAdapter> => {
  const { config, tensors, metadata } = await readPeftAdapter(directory);
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
  checkTensors(adapter, tensors, directory);
  const { layout, frozen, variant, targets } = adapter;
  const stored: StoredAdapter = { adapter, parameters: new Float32Array(layout.size), frozen: new Float32Array(frozen.size) };
  const values = valuesOf(stored);
  const view = (name: string): Float32Array => values.get(name)!.data as Float32Array;
  for (const name of values.keys()) view(name).set(tensors.get(name)!.data as Float32Array);
  const acts =
    layout.slots.some(isWhole) || [...targets.values()].some((target) => variant.acts(target, (name) => view(`${target.module}.${name}`)));
  if (!acts)
    throw new LowrankError("adapter-mismatch", "The adapter has no effect: its update is zero in every module.", {
      where: directory,
      fix: "Train it first.",
    });
  return stored;
};
