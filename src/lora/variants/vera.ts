/**
 * @file VeRA as an adapter kind: all modules share frozen random A and B, and each trains a vector after either [Kopiczko et al. 2024, eq. 2].
 *
 *     h = x·W + λ_b ∘ ((λ_d ∘ (x·A))·B),   A (d_in, r) and B (r, d_out) the leading parts of the shared ones
 */
import { add, matmul, multiply, scale, slice, type Tensor } from "../../graph/index.ts";
import { f32, type HostTensor } from "../../util/index.ts";
import { turnFactor } from "../../formats/index.ts";
import type { LoraConfig } from "../config.ts";
import { linear } from "../kinds/linear.ts";
import type { AdapterTarget } from "../targets.ts";
import { isFilled } from "./plain.ts";
import type { AdaptedLayer, Variant } from "./variant.ts";
import { veraProjections } from "./vera-projection.ts";

const after = { A: "vera_lambda_d", B: "vera_lambda_b" } as const;
const shared = { A: "vera_A", B: "vera_B" } as const;

// The widest input and output of all targets.
const sizesOf = (targets: readonly AdapterTarget[], { r }: LoraConfig) => ({
  r,
  inFeatures: Math.max(...targets.map(({ inFeatures }) => inFeatures)),
  outFeatures: Math.max(...targets.map(({ outFeatures }) => outFeatures)),
});

/** The shared A (in, r) and B (r, out) that the configuration's key means. */
const projections = (targets: readonly AdapterTarget[], config: LoraConfig): Readonly<Record<string, HostTensor>> => {
  const sizes = sizesOf(targets, config);
  const { A, B } = veraProjections(config.vera!.projection_prng_key, sizes);
  return {
    [shared.A]: turnFactor(f32(A, [sizes.r, sizes.inFeatures]), shared.A),
    [shared.B]: turnFactor(f32(B, [sizes.outFeatures, sizes.r]), shared.B),
  };
};

interface Parts {
  readonly A: Tensor; // (in, r)
  readonly B: Tensor; // (r, out)
  readonly d: Tensor; // (r)
  readonly b: Tensor; // (out), times the weight
}

const partsOf = ({ target: { inFeatures, outFeatures }, tensors, weight }: AdaptedLayer): Parts => ({
  A: slice(tensors(shared.A), 0, 0, inFeatures),
  B: slice(tensors(shared.B), 1, 0, outFeatures),
  d: tensors(after.A),
  b: scale(tensors(after.B), weight),
});

export const vera: Variant = {
  name: "VeRA",
  kinds: [linear],
  isMeant: (config) => config.vera !== null,
  parameters: ({ outFeatures, rank }) => [
    { name: after.B, role: "vector", shape: [outFeatures] },
    { name: after.A, role: "vector", shape: [rank] },
  ],
  shared: {
    parameters: (targets, config) => {
      const { r, inFeatures, outFeatures } = sizesOf(targets, config);
      return [
        { name: shared.A, role: "lora_A", shape: [inFeatures, r], frozen: true },
        { name: shared.B, role: "lora_B", shape: [r, outFeatures], frozen: true },
      ];
    },
    start: projections,
  },
  start: async ({ config, values, generator }) => {
    const [d, b] = [values(after.A), values(after.B)];
    if (config.init_lora_weights === false) {
      b.fill(1);
      for (let index = 0; index < d.length; index++) d[index] = generator.normal();
    } else d.fill(config.vera!.d_initial);
  },
  acts: (_, values) => isFilled(values(after.A)) && isFilled(values(after.B)),
  forward: (layer, { seen, output }) => {
    const { A, B, d, b } = partsOf(layer);
    return add(output, multiply(b, matmul(multiply(matmul(seen, A), d), B)));
  },
  change: (layer) => {
    const { A, B, d, b } = partsOf(layer);
    return { update: matmul(multiply(B, b), multiply(A, d), { transposeA: true, transposeB: true }) };
  },
  saved: (content) => {
    if (content.config.vera!.save_projection) return content;
    const hidden: readonly string[] = Object.values(shared);
    return { ...content, tensors: new Map([...content.tensors].filter(([name]) => !hidden.includes(name))) };
  },
  opened: (content) => {
    const { config, targets, tensors } = content;
    if (config.vera!.save_projection || tensors.has(shared.A)) return content;
    // A rank that the file's own tensors do not have would make matrices of any size.
    if ([...targets.keys()].some((module) => tensors.get(`${module}.${after.A}`)?.shape[0] !== config.r)) return content;
    return { ...content, tensors: new Map([...tensors, ...Object.entries(projections([...targets.values()], config))]) };
  },
};
