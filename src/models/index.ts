/** @file Floor 4: model families and pretrained bases. */
export { frozenModules, modelModules, namedTensors, openBase, storedTensors, storedValues, type Base } from "./base.ts";
export { modelOf } from "./family.ts";
export { interleavedRows, type GgufDescription, type GgufLayout, type GgufPlace } from "./gguf.ts";
export { withLabels } from "./heads/labels.ts";
export type { EmbeddingSpec, Family, ForwardOptions, Head, LinearSpec, Model, ParameterSpec, Source, Start, Task } from "./model.ts";
