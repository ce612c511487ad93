/** @file LoRA with a bias on B, PEFT's `lora_bias`, as an adapter kind: h = xW + s·((xA)B + c). */
import { add, scale } from "../../graph/index.ts";
import { linear } from "../kinds/linear.ts";
import { isFilled, plain } from "./plain.ts";
import type { AdaptedLayer, Variant } from "./variant.ts";

const bias = "lora_B.bias";

// s·c: (out)
const biasOf = ({ target, tensors, weight }: AdaptedLayer) => scale(tensors(bias), target.scaling * weight);

export const loraBias: Variant = {
  name: "LoRA with a bias",
  kinds: [linear],
  isMeant: ({ lora_bias }) => lora_bias,
  parameters: (target, config) => [...plain.parameters(target, config), { name: bias, role: "vector", shape: [target.outFeatures] }],
  start: plain.start,
  acts: (target, values) => plain.acts(target, values) || isFilled(values(bias)),
  forward: (layer, pass) => add(plain.forward(layer, pass), biasOf(layer)),
  change: (layer) => ({ ...plain.change(layer), bias: biasOf(layer) }),
};
