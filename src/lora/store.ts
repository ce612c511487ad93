/** @file Keeps adapters in PEFT's folders and takes them back, checked against the model tensor by tensor. It knows nothing about how they were trained. */
import { readPeftAdapter, writePeftAdapter } from "../formats/index.ts";
import type { Model } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { LowrankError, type HostTensor } from "../util/index.ts";
import { planAdapter, type Adapter } from "./adapter.ts";
import { readLoraConfig, writeLoraConfig } from "./config.ts";
import { targetNames } from "./targets.ts";

/** Under this key the file's metadata holds the digest of the base that the adapter was trained on. */
const digestKey = "lowrank.base";

/** An adapter with its values. */
export interface StoredAdapter {
  readonly adapter: Adapter;
  readonly parameters: Float32Array;
}

/** Writes an adapter as PEFT reads it, with the digest of its base. */
export const saveAdapter = async (
  directory: string,
  model: Model,
  { adapter, parameters }: StoredAdapter,
  baseDigest: string,
): Promise<void> => {
  const { config, targets, layout } = adapter;
  const expanded =
    config.target_modules === "all-linear" ? targetNames(model.linears, [...targets.values()], config) : config.target_modules;
  const tensors = new Map<string, HostTensor>(
    layout.slots.map((slot) => [slot.name, { dtype: "f32", shape: slot.shape, data: viewOf(parameters, slot) }]),
  );
  await writePeftAdapter(directory, {
    // Said for PEFT; read back, the model knows how its weights lie.
    config: {
      ...writeLoraConfig({ ...config, target_modules: expanded }),
      fan_in_fan_out: [...targets.values()].some(({ turned }) => turned),
    },
    tensors,
    metadata: { [digestKey]: baseDigest },
  });
};

const checkTensors = (adapter: Adapter, tensors: ReadonlyMap<string, HostTensor>, where: string): void => {
  const slots = new Map(adapter.layout.slots.map((slot) => [slot.name, slot]));
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
  const parameters = new Float32Array(adapter.layout.size);
  for (const slot of adapter.layout.slots) viewOf(parameters, slot).set(tensors.get(slot.name)!.data as Float32Array);
  const acts = adapter.layout.slots.some((slot) => slot.role !== "lora_A" && viewOf(parameters, slot).some((value) => value !== 0));
  if (!acts)
    throw new LowrankError("adapter-mismatch", "The adapter has no effect: every B is zero.", { where: directory, fix: "Train it first." });
  return { adapter, parameters };
};
