/** @file Layer checkpointing: a layer whose inner values are computed again for the backward pass. It knows nothing about what a layer does. */
import { checkpoint, type Tensor } from "../graph/index.ts";
import { topological } from "../graph/walk.ts";
import type { Modules } from "./modules.ts";

/** `layer(x)`, keeping only x for the backward pass. */
export const recomputed = (modules: Modules, x: Tensor, layer: (x: Tensor) => Tensor): Tensor => {
  const y = layer(x);
  const used = topological([y], new Set([x, ...modules.trainable])).filter((tensor) => modules.trainable.has(tensor));
  return checkpoint(y, [x, ...used]);
};
