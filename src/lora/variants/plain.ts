/** @file Plain LoRA (and rsLoRA, which differs in the scaling alone) as an adapter kind. */
import { initialisationOf } from "../init/initialisation.ts";
import { LoRALayer } from "../lora.ts";
import type { AdapterTarget } from "../targets.ts";
import type { TargetTensors, Variant } from "./variant.ts";

const layerOf = ({ scaling }: AdapterTarget, tensors: TargetTensors): LoRALayer =>
  new LoRALayer(tensors("lora_A"), tensors("lora_B"), scaling);

export const plain: Variant = {
  parameters: ({ inFeatures, outFeatures, rank }) => [
    { name: "lora_A", role: "lora_A", shape: [inFeatures, rank] },
    { name: "lora_B", role: "lora_B", shape: [rank, outFeatures] },
  ],
  initialise: (target, config, values, generator) =>
    initialisationOf(config.init_lora_weights)(target, values("lora_A"), values("lora_B"), generator),
  forward: (target, tensors, x, base) => layerOf(target, tensors).adapt(x, base),
  merge: (target, tensors, W) => layerOf(target, tensors).merge(W),
  unmerge: (target, tensors, merged) => layerOf(target, tensors).unmerge(merged),
};
