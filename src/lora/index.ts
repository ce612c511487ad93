/** @file Floor 5: low-rank adapters. */
export { adaptedModules, findBase, frozenFeeds, frozenTensors, slotTensors, type ActiveAdapter } from "./adapted-modules.ts";
export { planAdapter, valuesOf, type Adapter, type StoredAdapter } from "./adapter.ts";
export { loraConfig, readLoraConfig, writeLoraConfig, type InitName, type LoraConfig } from "./config.ts";
export { dropoutInput, dropoutPool, poolSize, pooledDropout, type Dropout } from "./dropout.ts";
export { candidatesOf } from "./kinds/index.ts";
export type { Candidate, TargetKind } from "./kinds/kind.ts";
export { LoRALayer, scalingOf } from "./lora.ts";
export type { Calibration, InputMoments, InputOptions } from "./init/calibration.ts";
export { initNames } from "./init/initialisations.ts";
export { loadedOn, startAdapter, type StartSources } from "./start.ts";
export { isSaved, selectTargets, targetNames, type AdapterTarget } from "./targets.ts";
export type { Variant } from "./variants/variant.ts";
export { mergedTensors, mergeModule, unmergeModule, type MergedModule, type WeightedAdapter } from "./merge.ts";
export { writeMergedCheckpoint, type MergedCheckpointOptions, type MergedDType } from "./merged-checkpoint.ts";
export { loadAdapter, saveAdapter, savedContent, type LoadAdapterOptions } from "./store.ts";
export { isWhole, mixedTensors, wholeRole } from "./whole.ts";
export { composeAdapters, type ComposeOptions, type Composition, type ModuleReport } from "./compose/compose.ts";
export { methods as compositionMethods } from "./compose/method.ts";
