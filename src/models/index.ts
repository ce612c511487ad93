/** @file Floor 4: model families and pretrained bases. */
export {
  frozenModules,
  modelModules,
  openBase,
  roundedLinear,
  roundedLinears,
  storedTensors,
  storedValues,
  type Base,
  type BaseOptions,
} from "./base.ts";
export { modelOf } from "./family.ts";
export { interleavedRows, type GgufDescription, type GgufLayout, type GgufPlace } from "./gguf.ts";
export { labelsIn, withLabels } from "./heads/labels.ts";
export { namedTensors } from "./named-tensors.ts";
export { startValues } from "./start.ts";
export type {
  EmbeddingSpec,
  Family,
  ForwardOptions,
  Head,
  LinearSpec,
  Model,
  ParameterSpec,
  Source,
  StackSpec,
  Start,
  Task,
} from "./model.ts";
