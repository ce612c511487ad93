/** @file Floor 4: model families and pretrained bases. */
export { frozenModules, modelModules, namedTensors, openBase, storedTensors, storedValues, type Base } from "./base.ts";
export { modelOf } from "./family.ts";
export { logitsOf } from "./model.ts";
export type { Family, ForwardOptions, LinearSpec, Model, ParameterSpec, Start } from "./model.ts";
