/** @file The gated feed-forward block. It knows nothing about the layers around it. */
import { multiply, slice, type Tensor } from "../graph/index.ts";
import type { Activation } from "./activation.ts";
import type { Modules } from "./modules.ts";
import { recomputed } from "./recompute.ts";

// The activation and the product are the widest values of a layer and the cheapest to make again.
const gated = (modules: Modules, module: string, gate: Tensor, up: Tensor, activation: Activation): Tensor =>
  recomputed(modules, [gate, up], () => modules.linear(`${module}.down_proj`, multiply(activation(gate), up)));

/** down(activation(gate(x)) ∘ up(x)) [Shazeer 2020]; x (N, D) → (N, D). */
export const gatedMlp = (modules: Modules, module: string, x: Tensor, activation: Activation): Tensor => {
  const [gate, up] = modules.linears([`${module}.gate_proj`, `${module}.up_proj`], x); // (N, F)
  return gated(modules, module, gate, up, activation);
};

/** The same where one projection, `gate_up_proj`, makes both. */
export const fusedGatedMlp = (modules: Modules, module: string, x: Tensor, activation: Activation): Tensor => {
  const both = modules.linear(`${module}.gate_up_proj`, x); // (N, 2F)
  const F = both.shape[1] / 2;
  return gated(modules, module, slice(both, 1, 0, F), slice(both, 1, F, 2 * F), activation);
};
