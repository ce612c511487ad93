/** @file Finds the shared reference material (goldens, real tokenizers, data) beside the project; tests that need it skip where it is absent. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root = process.env["LOWRANK_SHARED"] ?? resolve(import.meta.dirname, "../../shared");

/** True where the shared material is at hand; said once, so that a skipped run is not mistaken for a passed one. */
export const hasShared = existsSync(join(root, "goldens"));
if (!hasShared) console.warn(`Skipping tests that read shared material: nothing at ${root} (set LOWRANK_SHARED).`);

/** The path of shared material. */
export const sharedPath = (...parts: readonly string[]): string => join(root, ...parts);
