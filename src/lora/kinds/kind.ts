/** @file The contract of a kind of module that adapters target, and what is known of one such module. It knows no kind. */
import type { Tensor } from "../../graph/index.ts";
import type { Model } from "../../models/index.ts";
import type { Parameter } from "../../nn/index.ts";
import type { LoraConfig } from "../config.ts";
import type { Initialisation } from "../init/initialisation.ts";

/** A module that an adapter could target. Whatever its kind, it is a matrix W that what it reads is multiplied with. */
export interface Candidate {
  readonly module: string;
  readonly kind: TargetKind;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Whether the checkpoint holds W as (in, out); default no. */
  readonly turned?: boolean;
  /** Whether "all-linear" means it. */
  readonly isOrdinary: boolean;
  /** Of an embedding, the row that is not trained where it is read. */
  readonly padding?: number;
  /** The parameter by which `target_parameters` chooses it; without one, `target_modules` chooses the module. */
  readonly parameter?: string;
  /** The linear modules whose weights lie one above the other in W; default the module itself. */
  readonly parts?: readonly string[];
}

/** The short name and the role of a factor. */
export type Factor = Pick<Parameter, "name" | "role">;

export interface TargetKind {
  /** As people call such a module. */
  readonly name: string;
  /** The factors as layouts and files call them. */
  readonly A: Factor;
  readonly B: Factor;
  /** Whether such a module reads vectors x (N, in) in the order of the rows of a batch. */
  readonly keepsRows: boolean;
  /** Whether a model calls several such modules at once, each with rows of its own. */
  readonly isGrouped: boolean;
  /** Whether dropout acts on what such a module reads. */
  readonly dropout: boolean;
  /** All modules of this kind that a model has. */
  candidates(model: Pick<Model, "linears" | "embeddings" | "stacks">): readonly Candidate[];
  /** How A and B start, by the configuration's `init_lora_weights`. */
  initialisation(config: LoraConfig): Initialisation;
  /** s·x·A of what the module reads: (N, r). */
  reduce(x: Tensor, A: Tensor, s: number, module: Pick<Candidate, "padding">): Tensor;
}
