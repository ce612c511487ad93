/** @file What an initialisation does, and the table of them. Adding one is its file and one line here. */
import type { Random } from "../../util/index.ts";
import type { InitName } from "../config.ts";
import type { AdapterTarget } from "../targets.ts";
import { gaussian } from "./gaussian.ts";
import { kaiming } from "./kaiming.ts";
import { uniform } from "./uniform.ts";

/** What a start may look at. */
export interface StartContext {
  readonly target: AdapterTarget;
  readonly generator: Random;
  /** The base's W, (out, in). */
  weight(): Promise<Float32Array>;
}

export interface Initialisation {
  /**
   * Whether A₀·B₀ is not zero and the layer starts at the base all the same: h = xW + s·(xA)B − s·(xA₀)B₀. The starting pair stays, frozen,
   * and a saved adapter is the difference of the two products, which needs no changed base: A′ = [A, A₀], B′ = [B; −B₀].
   */
  readonly shifts?: true;
  /** Fills A (d_in, r) and B (r, d_out), which come as zeros. */
  start(A: Float32Array, B: Float32Array, context: StartContext): void | Promise<void>;
}

const table = new Map<InitName, Initialisation>([
  [true, kaiming],
  ["gaussian", gaussian],
  [false, uniform],
]);

/** The initialisation that PEFT's `init_lora_weights` names. */
export const initialisationOf = (name: InitName): Initialisation => table.get(name)!;
