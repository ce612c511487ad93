/** @file The gated feed-forward block. It knows nothing about the layers around it. */
import { multiply, type Tensor } from "../graph/index.ts";
import type { Modules } from "./modules.ts";
import { recomputed } from "./recompute.ts";

/** down(activation(gate(x)) ∘ up(x)) [Shazeer 2020]; x (N, D) → (N, D). */
export const gatedMlp = (modules: Modules, module: string, x: Tensor, activation: (x: Tensor) => Tensor): Tensor => {
  const gate = modules.linear(`${module}.gate_proj`, x); // (N, F)
  const up = modules.linear(`${module}.up_proj`, x); // (N, F)
  // The activation and the product are the widest values of a layer and the cheapest to make again.
  return recomputed(modules, [gate, up], () => modules.linear(`${module}.down_proj`, multiply(activation(gate), up)));
};
