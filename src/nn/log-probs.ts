/**
 * @file log p of each label, in chunks so that tokens × vocabulary never exists at once, for losses that weigh labels by what the whole
 * forward pass gives. It knows nothing about models.
 */
import { after, checkpoint, concat, gather, gradients, multiply, negate, slice, total, withGradient, type Tensor } from "../graph/index.ts";
import { topological } from "../graph/walk.ts";
import type { LossOptions } from "./loss.ts";

/**
 * The gradient of row i is dyᵢ·∂eachᵢ/∂hᵢ, because row i depends on hᵢ alone: so ∂each/∂h is computed along with `each` and scaled once dy
 * is known. Nothing has the value before that, because the runtime would otherwise keep the logits of all chunks until dy is there.
 */
const scaledLater = (each: Tensor, h: Tensor): Tensor => {
  const [rows] = gradients(total(each), [h]); // (C, D)
  return withGradient(after(each, rows), [h], [rows], (dy, _, [saved]) => [multiply(saved, dy)]);
};

/** log p(label) of each labelled position: (L, 1). A head that is trained computes its logits again for the backward pass. */
export const logProbs = (options: Omit<LossOptions, "weights">): Tensor => {
  const { hidden, rows, labels, crossEntropy, trainable, chunk, differentiable } = options;
  const selected = gather(hidden, rows); // (L, D)
  const parts: Tensor[] = [];
  for (let start = 0; start < rows.shape[0]; start += chunk) {
    const end = Math.min(start + chunk, rows.shape[0]);
    const h = slice(selected, 0, start, end); // (C, D)
    const each = crossEntropy(h, slice(labels, 0, start, end)); // (C, 1)
    const trained = topological([each], new Set([h, ...trainable])).filter((tensor) => trainable.has(tensor));
    if (!differentiable) parts.push(each);
    else parts.push(trained.length === 0 ? scaledLater(each, h) : checkpoint(each, [h, ...trained]));
  }
  return negate(concat(parts, 0));
};
