/** @file Floor 2: backends that run programs. */
export type { Backend, CompileOptions, Executable, Feed, Resident, RunOptions, Store } from "./backend.ts";
export { compileLenient } from "./lenient.ts";
export { checkDevice, ortBackend, type OrtOptions } from "./ort-node.ts";
export type { Device } from "./device.ts";
export { disposePrograms, type Programs } from "./programs.ts";
export { referenceBackend } from "./reference.ts";
export { runOnce } from "./run-once.ts";
