/** @file Floor 5: low-rank adapters. */
export { adaptedModules, findBase, initialParameters, planAdapter, slotTensors, type ActiveAdapter, type Adapter } from "./adapter.ts";
export { loraConfig, readLoraConfig, writeLoraConfig, type InitName, type LoraConfig } from "./config.ts";
export { dropoutInput, dropoutPool, poolSize, pooledDropout, type Dropout } from "./dropout.ts";
export { LoRALayer, scalingOf } from "./lora.ts";
export { isSaved, selectTargets, targetNames, type AdapterTarget } from "./targets.ts";
export type { Variant } from "./variants/variant.ts";
export { mergedTensors, mergeModule, unmergeModule, type WeightedAdapter } from "./merge.ts";
export { writeMergedCheckpoint, type MergedCheckpointOptions, type MergedDType } from "./merged-checkpoint.ts";
export { loadAdapter, saveAdapter, type LoadAdapterOptions, type StoredAdapter } from "./store.ts";
export { isWhole, mixedTensors } from "./whole.ts";
