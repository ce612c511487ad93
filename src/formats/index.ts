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
export { readGgufHeader, readGgufTensor } from "./gguf.ts";
export { encodeGguf } from "./gguf-blocks.ts";
export { type GgufFile, type GgufTensor } from "./gguf-header.ts";
export { readGgufTokenizer, type GgufTokenizer } from "./gguf-tokenizer.ts";
export { gguf, ggufTensorTypes, type GgufMetadata, type GgufTensorType, type GgufValue } from "./gguf-types.ts";
export { writeGguf, type GgufSource } from "./gguf-write.ts";
export { configReader, ropeOf, type ConfigReader, type Rope } from "./hf-config.ts";
export { connectHub, resolveModel, type ResolveOptions } from "./hub.ts";
export { commitFiles, type CommitOptions, type CommitResult } from "./hub-commit.ts";
export type { CommitSource } from "./hub-exchange.ts";
export { type HubProgress } from "./hub-download.ts";
export { isObject, parseJsonObject, readJsonObject, sortedJson } from "./json.ts";
export { mlxWeightsName, readMlxAdapter, writeMlxAdapter, type MlxAdapter } from "./mlx.ts";
export {
  ourName,
  peftName,
  readPeftAdapter,
  turnFactor,
  writePeftAdapter,
  type PeftAdapter,
  type PeftType,
  type PeftContent,
  type PeftPlace,
} from "./peft.ts";
export { narrowed } from "./narrow.ts";
export { type SafetensorsFile, type TensorLocation } from "./safetensors-header.ts";
export { tensorSources, writeSafetensors, type TensorSource } from "./safetensors-write.ts";
export { float32Chunks, readSafetensorsHeader, readTensor, readTensorF32, tensorChunks, toFloat32 } from "./safetensors.ts";
export { loadTokenizer, streamDecoder, type DecodeOptions, type StreamDecoder, type Tokenizer } from "./tokenizer.ts";
export { prepareWeights } from "./weights.ts";
export { prepareRounded, type RoundedTensor } from "./rounded-weights.ts";
export { temporaryWeights, type TemporaryWeights } from "./temporary-weights.ts";
