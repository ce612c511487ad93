/** @file Floor 6: adapters and models in the formats of other tools. */
export { readGgufAdapter, writeGgufAdapter } from "./gguf-adapter.ts";
export { writeGgufModel, type GgufModelOptions, type GgufPrecision } from "./gguf-model.ts";
export { readMlxFolder, writeMlxFolder } from "./mlx-adapter.ts";
