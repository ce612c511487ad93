/**
 * @file AdaLoRA as an adapter kind: an update in the form of a singular value decomposition, whose least important triplets training takes
 * away [Zhang et al. 2023, eq. 3]. Files leave out the triplets whose value is zero.
 *
 *     h = x·W + s·((x·A)∘E)·B,   s = α/(r + 10⁻⁵),   A (d_in, r) and B (r, d_out) nearly orthonormal, E (r)
 */
import { add, constant, matmul, multiply, reshape, scale, sqrt, subtract, total, type Tensor } from "../../graph/index.ts";
import { f32 } from "../../util/index.ts";
import { loraConfig, type LoraConfig } from "../config.ts";
import { linear } from "../kinds/linear.ts";
import { expanded, pruned } from "./adalora-ranks.ts";
import { isFilled } from "./plain.ts";
import type { AdaptedLayer, Variant } from "./variant.ts";

const deviation = 0.02;

const scalingOf = ({ lora_alpha: alpha, r }: LoraConfig): number => alpha / (r + 1e-5);

/** s·w·E: (1, r). */
const valuesOf = ({ config, tensors, weight }: AdaptedLayer): Tensor =>
  scale(reshape(tensors("lora_E"), [1, -1]), scalingOf(config) * weight);

/** ‖XᵀX − I‖ [ibid., eq. 4], for the rank on the last axis; PEFT's takes the norm and not its square. */
const deviationFromOrthonormal = (X: Tensor, transposed: boolean): Tensor => {
  const gram = matmul(X, X, { transposeA: !transposed, transposeB: transposed }); // (r, r)
  const [r] = gram.shape;
  const identity = constant(
    f32(
      Float32Array.from({ length: r * r }, (_, index) => Number(index % (r + 1) === 0)),
      [r, r],
    ),
  );
  const difference = subtract(gram, identity);
  return sqrt(total(multiply(difference, difference)));
};

export const adalora: Variant = {
  name: "AdaLoRA",
  kinds: [linear],
  isMeant: (config) => config.adalora !== null,
  parameters: ({ inFeatures, outFeatures, rank }) => [
    { name: "lora_A", role: "lora_A", shape: [inFeatures, rank] },
    { name: "lora_B", role: "lora_B", shape: [rank, outFeatures] },
    { name: "lora_E", role: "vector", shape: [rank, 1] },
  ],
  start: async ({ config, values, generator }) => {
    const isZero = config.init_lora_weights !== false;
    for (const name of isZero ? ["lora_A", "lora_B"] : ["lora_A", "lora_B", "lora_E"]) {
      const view = values(name);
      for (let index = 0; index < view.length; index++) view[index] = generator.normal() * (isZero ? deviation : 1);
    }
  },
  acts: (_, values) => ["lora_A", "lora_B", "lora_E"].every((name) => isFilled(values(name))),
  forward: (layer, { output, reduce }) => {
    const z = multiply(reduce(layer.tensors("lora_A"), 1), valuesOf(layer)); // (N, r)
    return matmul(z, layer.tensors("lora_B"), {}, output);
  },
  change: (layer) => {
    const A = multiply(layer.tensors("lora_A"), valuesOf(layer)); // (in, r)
    return { update: matmul(layer.tensors("lora_B"), A, { transposeA: true, transposeB: true }) };
  },
  penalty: (layers) => {
    const deviations = layers.flatMap(({ tensors }) => [
      deviationFromOrthonormal(tensors("lora_A"), false),
      deviationFromOrthonormal(tensors("lora_B"), true),
    ]);
    return scale(deviations.reduce(add), layers[0].config.adalora!.orth_reg_weight / deviations.length);
  },
  scheduled: (config, steps) => {
    const { adalora: settings } = config;
    return settings!.total_step === null ? loraConfig({ ...config, adalora: { ...settings, total_step: steps } }) : config;
  },
  saved: pruned,
  opened: expanded,
};
