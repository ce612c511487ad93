/** @file Next-token cross-entropy in chunks of labelled positions, so that tokens × vocabulary never exists at once. It knows nothing about models. */
import {
  accumulate,
  add,
  gather,
  gradients,
  log,
  max,
  multiply,
  negate,
  pick,
  place,
  reshape,
  scalar,
  slice,
  softmax,
  subtract,
  total,
  withEagerGradient,
  withGradient,
  zeros,
  type Tensor,
} from "../graph/index.ts";
import { topological } from "../graph/walk.ts";
import type { FrozenLinear } from "./modules.ts";

// −log p[label] = max − logit[label] + log Σ exp(· − max); the sum is 1/max p, so softmax is the only pass over exponentials.
const negativeLogLikelihood = (logits: Tensor, p: Tensor, labels: Tensor): Tensor =>
  subtract(subtract(max(logits, [1]), pick(logits, labels)), log(max(p, [1]))); // (C, 1)

/** Cross-entropy of each row: logits (C, V) and labels (C) give (C, 1). */
export const crossEntropy = (logits: Tensor, labels: Tensor): Tensor => {
  const p = softmax(logits); // (C, V)
  const value = negativeLogLikelihood(logits, p, labels);
  const minusOne = subtract(zeros([logits.shape[0], 1]), scalar(1));
  // d logits = p − onehot(label)
  return withGradient(value, [logits], [p, labels], (dy, _, [weights, places]) => [
    multiply(place(weights, places, minusOne, logits.shape), dy),
  ]);
};

/** Cross-entropy of each row under a frozen head W (V, D): h (C, D), labels (C) and logits (C, V), which are h·Wᵀ or nearly, give (C, 1). */
export const linearCrossEntropy = (h: Tensor, { weight, back }: FrozenLinear, labels: Tensor, logits: Tensor): Tensor => {
  const p = softmax(logits);
  const value = negativeLogLikelihood(logits, p, labels);
  // dh = p·W − W[label]: the one-hot matrix is never made.
  return withGradient(value, [h], [p, labels], (dy, _, [weights, places]) => [
    multiply(accumulate(negate(gather(weight, places)), back(weights)), dy),
  ]);
};

export interface LossOptions {
  /** Final hidden states (N, D). */
  readonly hidden: Tensor;
  /** Rows of `hidden` that predict a label: (L) int32. */
  readonly rows: Tensor;
  /** What they predict: (L) int32. */
  readonly labels: Tensor;
  /** Weight of each label, 0 for padding: (L). */
  readonly weights: Tensor;
  /** Cross-entropy of a chunk: (C, D) and (C) give (C, 1). */
  readonly crossEntropy: (h: Tensor, labels: Tensor) => Tensor;
  /** Everything that is trained; what of it the head uses gets its gradient along with the hidden states. */
  readonly trainable: ReadonlySet<Tensor>;
  /** Labelled positions per chunk. */
  readonly chunk: number;
  /** Whether the loss will be differentiated: then the gradient of each chunk is computed with it, and its logits are freed. */
  readonly differentiable: boolean;
}

/** Σ weight · −log p(label), a scalar. */
export const chunkedLoss = (options: LossOptions): Tensor => {
  const { hidden, trainable, chunk, differentiable } = options;
  const L = options.rows.shape[0];
  const selected = gather(hidden, options.rows); // (L, D)
  let loss: Tensor | undefined;
  for (let start = 0; start < L; start += chunk) {
    const end = Math.min(start + chunk, L);
    const h = slice(selected, 0, start, end); // (C, D)
    const each = options.crossEntropy(h, slice(options.labels, 0, start, end)); // (C, 1)
    const plain = total(multiply(each, reshape(slice(options.weights, 0, start, end), [-1, 1])));
    const sources = [h, ...topological([plain], new Set([h, ...trainable])).filter((tensor) => trainable.has(tensor))];
    const part = differentiable ? withEagerGradient(plain, sources, gradients(plain, sources)) : plain;
    loss = loss === undefined ? part : add(loss, part);
  }
  return loss!;
};
