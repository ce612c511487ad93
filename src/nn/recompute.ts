/** @file Parts of a model whose inner values are computed again for the backward pass instead of being kept. It knows nothing about what they do. */
import { checkpoint, type Tensor } from "../graph/index.ts";
import { topological } from "../graph/walk.ts";
import type { Modules } from "./modules.ts";

/**
 * `part(sources)`, keeping only the sources for the backward pass; what of the part no gradient needs is not computed again.
 * `given` is what the part uses besides and gets no gradient.
 */
export const recomputed = (modules: Modules, sources: readonly Tensor[], part: () => Tensor, given: readonly Tensor[] = []): Tensor => {
  const y = part();
  const ends = new Set([...sources, ...given, ...modules.trainable]);
  const used = topological([y], ends).filter((tensor) => modules.trainable.has(tensor));
  return checkpoint(y, [...sources, ...used]);
};
