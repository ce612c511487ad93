/** @file Parts of a model whose inner values are computed again for the backward pass instead of being kept. It knows nothing about what they do. */
import { checkpoint, type Tensor } from "../graph/index.ts";
import { topological } from "../graph/walk.ts";
import type { Modules } from "./modules.ts";

/** `part(sources)`, keeping only the sources for the backward pass; what of the part no gradient needs is not computed again. */
export const recomputed = (modules: Modules, sources: readonly Tensor[], part: () => Tensor): Tensor => {
  const y = part();
  const used = topological([y], new Set([...sources, ...modules.trainable])).filter((tensor) => modules.trainable.has(tensor));
  return checkpoint(y, [...sources, ...used]);
};
