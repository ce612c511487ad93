/** @file What a model family provides: its parameters, its linear modules, and its forward pass. It knows no family. */
import type { Tensor } from "../graph/index.ts";
import type { Attention, Modules } from "../nn/index.ts";

/** How a parameter starts when a model is trained from scratch. */
export type Start = { readonly normal: number } | "ones" | "zeros";

export interface ParameterSpec {
  /** Name in the checkpoint. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: Start;
}

/** A linear module, as adapters target them. */
export interface LinearSpec {
  /** Path in the checkpoint, without `.weight`. */
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
  /** Whether the checkpoint holds the weight as (in, out) instead of (out, in); default no. */
  readonly turned?: boolean;
  /** The output embedding, which "all-linear" leaves out. */
  readonly isHead: boolean;
}

export interface ForwardOptions {
  /** Token ids (B, T) int32. */
  readonly ids: Tensor;
  readonly attention: Attention;
  /** Whether the layers' inner values are computed again for the backward pass instead of being kept. */
  readonly recompute: boolean;
}

/** A model as its configuration describes it; the weights come with the `Modules` that its functions are given. */
export interface Model {
  /** Hugging Face's `model_type`. */
  readonly type: string;
  /** The configuration as its file has it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly maxPositions: number;
  readonly layers: number;
  /** Shape of the key/value cache of each layer. */
  readonly cache: { readonly heads: number; readonly headSize: number };
  /** How many keys queries see, one entry for each kind of layer; Infinity where all before them. */
  readonly windows: readonly number[];
  /** The greatest length whose cached keys hold for it alone: longer sequences turn all their keys by other frequencies; default none. */
  readonly cacheBoundary?: number;
  readonly parameters: readonly ParameterSpec[];
  readonly linears: readonly LinearSpec[];
  /** Parameters that are another one's by another name (a tied head). */
  readonly aliases: Readonly<Record<string, string>>;
  /** The module that turns hidden states into logits. */
  readonly head: string;
  /** What becomes of the head's output, elementwise; default nothing. */
  readonly finish?: (logits: Tensor) => Tensor;
  /** Final hidden states, normalised: (B·T, D). */
  forward(modules: Modules, options: ForwardOptions): Tensor;
}

/** Logits (N, V) of final hidden states (N, D). */
export const logitsOf = ({ head, finish }: Pick<Model, "head" | "finish">, modules: Modules, hidden: Tensor): Tensor => {
  const logits = modules.linear(head, hidden);
  return finish === undefined ? logits : finish(logits);
};

/** Reads a configuration into a model; `where` names the file in errors. */
export type Family = (config: Readonly<Record<string, unknown>>, where: string) => Model;
