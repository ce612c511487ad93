/** @file What a model family provides: its parameters, its linear modules, its forward pass, and what its head is for. It knows no family. */
import type { Tensor } from "../graph/index.ts";
import type { Attention, Mask, Modules } from "../nn/index.ts";
import type { Half } from "../util/index.ts";
import type { GgufLayout } from "./gguf.ts";

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
  /** The output embedding or the classifier, which "all-linear" leaves out. */
  readonly isHead: boolean;
}

/** A table whose rows are looked up by index, as adapters target them. */
export interface EmbeddingSpec {
  /** Path in the checkpoint, without `.weight`; the tensor is (rows, width). */
  readonly module: string;
  readonly rows: number;
  readonly width: number;
  /** Whether its rows are the tokens that the model reads. */
  readonly isTokens: boolean;
  /** The row that is not trained where it is read; default none. */
  readonly padding?: number;
}

/**
 * A parameter that stands for several linear modules of one shape, as PEFT and newer checkpoints have it: experts stacked to (E, out, in),
 * or a single matrix (out, in).
 */
export interface StackSpec {
  /** Its name there: `model.layers.0.mlp.experts.gate_up_proj`. */
  readonly parameter: string;
  readonly inFeatures: number;
  /** Of an expert's whole matrix, all parts together. */
  readonly outFeatures: number;
  /** The linear modules whose weights it holds: `parts[p][e]` is the p-th share of the rows of expert e. */
  readonly parts: readonly (readonly string[])[];
}

/** What a model is for, by PEFT's names. */
export type Task = "CAUSAL_LM" | "SEQ_CLS" | "SEQ_2_SEQ_LM";

/** What the head makes of hidden states. Losses, metrics and generation ask it what they want to know; none of them asks for the task. */
export interface Head {
  /** Recorded in adapters. */
  readonly task: Task;
  /** The token of a document whose hidden state it reads, by the document's ids; none where it reads those before labelled tokens. */
  readonly pool?: (ids: ArrayLike<number>) => number;
  /** What its logits are about: the token that follows, the class of a document, or values of it. */
  readonly predicts: "tokens" | "classes" | "values";
  /** Logits of each hidden state: V tokens, or so many classes or values. */
  readonly outputs: number;
  /** Names of the classes or values, one for each logit; none for tokens. */
  readonly labels: readonly string[];
  /** Its own, which are among the model's. */
  readonly parameters: readonly ParameterSpec[];
  /** Modules that adapters train whole unless they target them by name, such as `score`; none for tokens. */
  readonly whole: readonly string[];
  /** The linear module whose output the logits are as it stands; none where the head is more than that. */
  readonly linear?: string;
  /** Logits (N, outputs) of final hidden states (N, D). */
  logits(modules: Modules, hidden: Tensor): Tensor;
}

/** What the encoder of an encoder–decoder reads, and how its decoder attends to it. */
export interface Source {
  /** Token ids (B, S) int32. */
  readonly ids: Tensor;
  /** Among the source's own tokens. */
  readonly attention: Attention;
  /** From the decoder's tokens to the source's. */
  readonly cross: Attention;
}

export interface ForwardOptions {
  /** Token ids (B, T) int32, of which hidden states are made. */
  readonly ids: Tensor;
  /** Kinds of the tokens (B, T) int32, for models that have kinds; default all 0. */
  readonly types?: Tensor;
  readonly attention: Attention;
  /** Only for encoder–decoders, whose decoder reads `ids`. */
  readonly source?: Source;
  /** Whether the layers' inner values are computed again for the backward pass instead of being kept. */
  readonly recompute: boolean;
  /** Is told the logits (B·T, E) of every router; default nobody is. */
  readonly onRouting?: (logits: Tensor) => void;
}

/** The factor on `loadBalance`, and the number of experts that a token chooses. */
export interface Balance {
  readonly coefficient: number;
  readonly perToken: number;
}

/** A model as its configuration describes it; the weights come with the `Modules` that its functions are given. */
export interface Model {
  /** Hugging Face's `model_type`. */
  readonly type: string;
  /** The configuration as its file has it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  /** Infinity where only distances count. */
  readonly maxPositions: number;
  /** Layers that generation keeps keys and values of. */
  readonly layers: number;
  /** Shape of the key/value cache of each layer. */
  readonly cache: { readonly heads: number; readonly headSize: number };
  /** How many keys queries see, one entry for each kind of layer; Infinity where all before them. */
  readonly windows: readonly number[];
  /** The greatest length whose cached keys hold for it alone: longer sequences turn all their keys by other frequencies; default none. */
  readonly cacheBoundary?: number;
  /** Kinds of tokens that are told apart, such as those of the first and the second text; default none. */
  readonly tokenTypes?: number;
  /** All parameters, those of the head last. */
  readonly parameters: readonly ParameterSpec[];
  readonly linears: readonly LinearSpec[];
  readonly embeddings: readonly EmbeddingSpec[];
  /** Parameters that stand for several modules' weights, or have another name, outside released checkpoints; default none. */
  readonly stacks?: readonly StackSpec[];
  /** Parameters that are another one's by another name (a tied head). */
  readonly aliases: Readonly<Record<string, string>>;
  /** Tensors of other heads, which checkpoints of the family may have and this model does not read; default none. */
  readonly unread?: RegExp;
  readonly head: Head;
  /** Who sees whom within the rows of a batch, from the documents' numbers (B, T) int32. */
  readonly mask: (segments: Tensor) => Mask;
  /** What training adds to the loss so that routers use their experts alike; default nothing. */
  readonly balance?: Balance;
  /** The token that decoding begins with. Only encoder–decoders have one, whose encoder reads the prompt. */
  readonly decoderStart?: number;
  /** How GGUF files hold the model; undefined for a family that they cannot hold. */
  readonly gguf?: GgufLayout;
  /** What mlx-lm calls the first part of its modules' names; undefined for a family that it has not. */
  readonly mlxRoot?: string;
  /** Final hidden states, normalised: (B·T, D). */
  forward(modules: Modules, options: ForwardOptions): Tensor;
  /**
   * The model after the numbers that PyTorch keeps beside the parameters (rotary frequencies, Gemma's factor on embeddings) were rounded
   * to 16 bits, as casting its whole module does and loading it does not; absent where there are none.
   */
  withRoundedBuffers?(half: Half): Model;
}

/** Reads a configuration into a model; `where` names the file in errors. */
export type Family = (config: Readonly<Record<string, unknown>>, where: string) => Model;
