/** @file A choice of adapters: what tells it from others, whether it can share a batch, and the model under it. It knows nothing about texts or losses. */
import type { Base } from "../models/index.ts";
import type { Backend } from "../runtime/index.ts";
import type { AdapterCache } from "./adapter-cache.ts";
import type { AdapterUse } from "./batch-generator.ts";
import { adaptedInference, type Inference } from "./inference.ts";

/** Equal for the same adapters with the same weights in the same order. */
export const choiceKey = (uses: readonly AdapterUse[]): string => uses.map(({ source, weight }) => `${source.digest} ${weight}`).join(", ");

/** Whether all of them can act on single rows of a batch. */
export const canMix = async (cache: AdapterCache, uses: readonly AdapterUse[]): Promise<boolean> => {
  for (const { source } of uses) if (!(await cache.mixes(source))) return false;
  return true;
};

/** Loads them for a model of their own. */
export const inferenceUnder = async (backend: Backend, base: Base, uses: readonly AdapterUse[]): Promise<Inference> =>
  adaptedInference(backend, base, await Promise.all(uses.map(async ({ source, weight }) => ({ ...(await source.load()), weight }))));
