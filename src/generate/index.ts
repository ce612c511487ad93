/** @file Floor 6: text from models. */
export { adapterCache, type AdapterCache, type AdapterLease, type AdapterSource } from "./adapter-cache.ts";
export { canMix, choiceKey, inferenceUnder } from "./adapter-choice.ts";
export { laneFeeds, lanesOf, laneTensors, type AdaptedRow, type RowAdapter } from "./adapter-lanes.ts";
export type { AdapterPool } from "./adapter-pool.ts";
export { batchDecoder, type BatchDecoder } from "./batch-decoder.ts";
export { createBatchGenerator, type AdapterUse, type BatchGenerator, type RowOptions } from "./batch-generator.ts";
export { createDecoder } from "./create-decoder.ts";
export type { Programs } from "../runtime/index.ts";
export type { Decoder } from "./decoder.ts";
export { generateText, generateTokens, type FinishReason, type GenerateOptions } from "./generate.ts";
export { createGenerator, type Generator, type GeneratorOptions } from "./generator.ts";
export { adaptedInference, baseInference, mergedInference, type Inference } from "./inference.ts";
export { writeTexts, type TextRequest, type WrittenText } from "./many-texts.ts";
export { asPrompt } from "./prompt.ts";
export { sampler, type Sampler, type SamplingOptions } from "./sampling.ts";
export { stopMatcher, type StopMatcher } from "./stop.ts";
