/** @file What an initialisation needs and does, and what it may look at. It knows none. */
import type { Backend } from "../../runtime/index.ts";
import { LowrankError, type Random } from "../../util/index.ts";
import type { Operator } from "../algebra/operator.ts";
import type { Vectors } from "../algebra/vectors.ts";
import type { AdapterTarget } from "../targets.ts";
import type { InputMoments, InputOptions } from "./calibration.ts";

/** Directions that a target's A could begin with, most telling first. */
export interface Components {
  /** The share of the inputs' variance that each explains. */
  readonly shares: Float64Array;
  /** Of length in. */
  readonly vectors: Vectors;
}

/**
 * What a start is made from beside random numbers: the base's weights, what rounding took from them, what modules read in some data, or the
 * gradients of the loss there.
 */
export type Need = "nothing" | "weight" | "rounding" | "inputs" | "gradients";

/** What a start may look at; what it has no need of is not there. Operators last as long as the start. */
export interface StartContext {
  readonly target: AdapterTarget;
  readonly generator: Random;
  /** Where products are computed. */
  backend(): Backend;
  /** The base's W, (out, in). */
  weight(): Promise<Float32Array>;
  /** The same as products on the backend. */
  operator(): Operator;
  /** W less what the base's form with fewer bits holds of it, as products on the backend. */
  roundingError(): Promise<Operator>;
  /** What the data say about the module's inputs. */
  inputs(): InputMoments;
  /** dL/dW (out, in) as products on the backend. */
  gradient(): Promise<Operator>;
  /** What `ranks` has found. */
  components(): Components;
}

/** How ranks are shared out among the modules before they start. */
export interface RankRule {
  components(context: StartContext): Promise<Components>;
  /** Whether α changes along with a rank. */
  readonly keepsScaling: boolean;
}

export interface Initialisation {
  readonly needs: Need;
  /** Which inputs count, where they are needed. */
  readonly inputs?: InputOptions;
  /**
   * Whether A₀·B₀ is not zero and the layer starts at the base all the same: h = xW + s·(xA)B − s·(xA₀)B₀. The starting pair stays, frozen,
   * and a saved adapter is the difference of the two products, which needs no changed base: A′ = [A, A₀], B′ = [B; −B₀].
   */
  readonly shifts?: true;
  /** Whether the base alone decides A₀·B₀, and as PEFT does, so that it can be made again for an adapter that was saved without it; default no. */
  repeats?(target: AdapterTarget): boolean;
  /** Default: ranks are what the configuration says. */
  readonly ranks?: RankRule;
  /** Fills A (d_in, r) and B (r, d_out), which come as zeros. */
  start(A: Float32Array, B: Float32Array, context: StartContext): void | Promise<void>;
}

/** Throws `invalid-config` unless a target has room for so many times its rank of independent directions. */
export const needRank = ({ module, rank, inFeatures, outFeatures }: AdapterTarget, times = 1): void => {
  const most = Math.floor(Math.min(inFeatures, outFeatures) / times);
  if (rank > most)
    throw new LowrankError("invalid-config", `The start finds at most ${most} directions for A and B, and the rank is ${rank}.`, {
      where: module,
      fix: `Choose a rank of ${most} or less, or give this module one of its own (rank_pattern).`,
    });
};
