/** @file Floor 2: backends that run programs. */
export type { Backend, Executable, Feed, Resident, RunOptions, Store } from "./backend.ts";
export { compileLenient } from "./lenient.ts";
export { ortBackend, type OrtOptions } from "./ort-node.ts";
export type { Device } from "./ort-session.ts";
export { referenceBackend } from "./reference.ts";
export { runOnce } from "./run-once.ts";
