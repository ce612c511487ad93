/** @file The contract of an adapter kind: what a target gets, how it starts, how it changes the layer, how it folds into W. It knows no kind. */
import type { Tensor } from "../../graph/index.ts";
import type { ParameterSlot } from "../../nn/index.ts";
import type { Random } from "../../util/index.ts";
import type { LoraConfig } from "../config.ts";
import type { AdapterTarget } from "../targets.ts";

/** The tensors of one target by their short name: `lora_A`, `lora_B` … */
export type TargetTensors = (name: string) => Tensor;

export interface Variant {
  /** What a target trains; names are short, files and layouts put the module before them. */
  parameters(target: AdapterTarget): readonly Pick<ParameterSlot, "name" | "role" | "shape">[];
  /** Fills the starting values, which come as zeros. */
  initialise(target: AdapterTarget, config: LoraConfig, values: (name: string) => Float32Array, generator: Random): void;
  /** The layer's output from its input x (N, in), what the adapter sees of it, and the base's output (N, out). */
  forward(target: AdapterTarget, tensors: TargetTensors, x: Tensor, base: Tensor): Tensor;
  /** W′ (out, in) from W. */
  merge(target: AdapterTarget, tensors: TargetTensors, W: Tensor): Tensor;
  /** W from W′. */
  unmerge(target: AdapterTarget, tensors: TargetTensors, merged: Tensor): Tensor;
}
