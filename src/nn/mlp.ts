/** @file The gated feed-forward block. It knows nothing about the layers around it. */
import { multiply, type Tensor } from "../graph/index.ts";
import type { Modules } from "./modules.ts";

/** down(activation(gate(x)) ∘ up(x)) [Shazeer 2020]; x (N, D) → (N, D). */
export const gatedMlp = (modules: Modules, module: string, x: Tensor, activation: (x: Tensor) => Tensor): Tensor => {
  const gate = modules.linear(`${module}.gate_proj`, x); // (N, F)
  const up = modules.linear(`${module}.up_proj`, x); // (N, F)
  return modules.linear(`${module}.down_proj`, multiply(activation(gate), up));
};
