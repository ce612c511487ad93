/** @file What an initialisation does, and the table of them. Adding one is its file and one line here. */
import type { Random } from "../../util/index.ts";
import type { InitName } from "../config.ts";
import type { AdapterTarget } from "../targets.ts";
import { gaussian } from "./gaussian.ts";
import { kaiming } from "./kaiming.ts";
import { uniform } from "./uniform.ts";

/** Fills A (d_in, r) and B (r, d_out), which come as zeros. */
export type Initialisation = (target: AdapterTarget, A: Float32Array, B: Float32Array, generator: Random) => void;

const table = new Map<InitName, Initialisation>([
  [true, kaiming],
  ["gaussian", gaussian],
  [false, uniform],
]);

/** The initialisation that PEFT's `init_lora_weights` names. */
export const initialisationOf = (name: InitName): Initialisation => table.get(name)!;
