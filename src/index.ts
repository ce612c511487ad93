/** @file The library's front door: what most programs need. Each floor has an entry of its own (`lowrank/graph`, `lowrank/lora` …). */
export { defaultSettings, loadModel, type Generator, type LanguageModel, type TextOptions, type TrainOptions } from "./language-model.ts";
export { LoRALayer, loraConfig, scalingOf, type LoraConfig, type StoredAdapter, type WeightedAdapter } from "./lora/index.ts";
export { dpo, kto, nextToken, orpo, sequenceToSequence, type Loss, type TrainEvent } from "./train/index.ts";
export { LowrankError, type ErrorCode } from "./util/index.ts";
