/** @file Floor 2: files. Tensors, checkpoints, adapters, configurations, tokenizers and the hub. */
export { writeAtomically, writeFileAtomically } from "./atomic.ts";
export { baseDigest } from "./base-digest.ts";
export { cacheDirectory } from "./cache-directory.ts";
export { plainChatTemplate } from "./chat-template-plain.ts";
export {
  chatTemplate,
  renderChat,
  type ChatMessage,
  type ChatTemplate,
  type Rendering,
  type RenderOptions,
  type ToolCall,
} from "./chat-template.ts";
export { openCheckpoint, writeCheckpoint, type Checkpoint, type CheckpointContent } from "./checkpoint.ts";
export { copyCompanions } from "./companions.ts";
export { listFolder, makeFolder, withFile } from "./disk.ts";
export { configReader, ropeOf, type ConfigReader, type Rope } from "./hf-config.ts";
export { resolveModel, type ResolveOptions } from "./hub.ts";
export { type HubProgress } from "./hub-download.ts";
export { isObject, readJsonObject, sortedJson } from "./json.ts";
export {
  ourName,
  peftName,
  readPeftAdapter,
  turnFactor,
  writePeftAdapter,
  type PeftAdapter,
  type PeftContent,
  type PeftPlace,
} from "./peft.ts";
export { type SafetensorsFile, type TensorLocation } from "./safetensors-header.ts";
export { tensorSources, writeSafetensors, type TensorSource } from "./safetensors-write.ts";
export { readSafetensorsHeader, readTensor, readTensorF32, tensorChunks, toFloat32 } from "./safetensors.ts";
export { loadTokenizer, streamDecoder, type DecodeOptions, type StreamDecoder, type Tokenizer } from "./tokenizer.ts";
export { prepareWeights } from "./weights.ts";
export { prepareRounded, type RoundedTensor } from "./rounded-weights.ts";
