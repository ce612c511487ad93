/** @file Rows of tokens through a model, as losses need them: inputs, hidden states, the head. It knows nothing about what is made of them. */
import { cast, input, type Tensor } from "../graph/index.ts";
import type { Model } from "../models/index.ts";
import { crossEntropy, fullMask, linearCrossEntropy, trainingAttention, type Attention, type Mask, type Modules } from "../nn/index.ts";
import type { LossContext, StepShape } from "./losses/loss.ts";

/** Rows of tokens as a program reads them: each (B, T) int32. */
export interface TokenInputs {
  readonly ids: Tensor;
  readonly positions: Tensor;
  /** 0 is padding, 1 … numbers the documents of a row. */
  readonly segments: Tensor;
  /** Kinds of the tokens, for models that have kinds. */
  readonly types?: Tensor;
}

const recomputeFrom = 1024;
// Half as many queries would save a little more of the masked half and cost twice as many ops; very long rows have that many blocks at most.
const queriesPerBlock = 128;
// From here on the gradient makes attention weights again for a piece of the keys at a time, which costs shorter rows more than it saves.
const longFrom = 2048;
const longQueriesPerBlock = 256;
const mostBlocks = 16;
// Logits of a chunk stay within 32 MB.
const chunkElements = 1 << 23;

/** Labelled positions whose logits exist at once. */
export const chunkOf = ({ model, chunk }: Pick<LossContext, "model" | "chunk">): number =>
  chunk ?? 2 ** Math.floor(Math.log2(Math.max(64, chunkElements / model.head.outputs)));

/** The inputs `ids`, `positions` and `segments` of a program, or others whose names begin with `prefix`. */
export const tokenInputs = ({ B, T }: StepShape, prefix = ""): TokenInputs => ({
  ids: input(`${prefix}ids`, [B, T], "i32"),
  positions: input(`${prefix}positions`, [B, T], "i32"),
  segments: input(`${prefix}segments`, [B, T], "i32"),
});

const attentionOf = ({ positions }: TokenInputs, mask: Mask, remake: boolean, isTrained: boolean): Attention => {
  const T = positions.shape[1];
  const isLong = T >= longFrom;
  const least = isLong ? longQueriesPerBlock : queriesPerBlock;
  const block = least * Math.ceil(T / (least * mostBlocks));
  // A quarter of the keys, as masks cut them.
  const pieces = isLong && remake && isTrained ? { piece: Math.max(2 * block, Math.ceil(T / 4)) } : {};
  return trainingAttention({ positions: cast(positions, "i64"), maxPositions: T, mask, block, remake, ...pieces });
};

/** Final hidden states of rows under some modules: (B·T, D). Several passes may read the same inputs. Encoder–decoders read a source as well. */
export const hiddenStates = (
  context: Pick<LossContext, "model" | "differentiable" | "recompute" | "keep"> & Partial<Pick<LossContext, "modules" | "onRouting">>,
  modules: Modules,
  tokens: TokenInputs,
  source?: TokenInputs,
): Tensor => {
  const { model, differentiable, keep = false, onRouting } = context;
  const longest = Math.max(tokens.ids.shape[1], source?.ids.shape[1] ?? 0);
  const recompute = differentiable && (context.recompute ?? longest >= recomputeFrom);
  // The weights of a short row may stay while its layer is computed again.
  const remake = recompute ? longest >= recomputeFrom : !keep;
  return model.forward(modules, {
    ids: tokens.ids,
    ...(tokens.types && { types: tokens.types }),
    attention: attentionOf(tokens, model.mask(tokens.segments), remake, differentiable),
    ...(source && {
      source: {
        ids: source.ids,
        attention: attentionOf(source, fullMask(source.segments), remake, differentiable),
        cross: attentionOf(tokens, fullMask(tokens.segments, source.segments), remake, differentiable),
      },
    }),
    recompute,
    ...(onRouting && modules === context.modules && { onRouting: (logits: Tensor) => onRouting(logits, tokens.segments) }),
  });
};

/** Cross-entropy of labels (C) under the head, from hidden states (C, D): (C, 1). */
export const headLoss = ({ head }: Pick<Model, "head">, modules: Modules): ((h: Tensor, labels: Tensor) => Tensor) => {
  const frozen = head.linear === undefined ? undefined : modules.frozenLinear(head.linear);
  return (h, labels) => {
    const logits = head.logits(modules, h); // (C, V)
    return frozen === undefined ? crossEntropy(logits, labels) : linearCrossEntropy(h, frozen, labels, logits);
  };
};
