/**
 * @file DoRA as an adapter kind: the magnitude m of each output is trained apart from its direction [Liu et al. 2024, eq. 5].
 *
 *     h = m/‖V‖ ∘ (x·W + s·(x·A)·B) + b,   ‖V‖ the norms of the rows of V = W + s·(A·B)ᵀ, (out, in)
 *
 * The gradient takes ‖V‖ for a constant [ibid., §4.3].
 */
import {
  add,
  divide,
  matmul,
  multiply,
  reshape,
  scalar,
  scale,
  sqrt,
  subtract,
  sum,
  transpose,
  withGradient,
  type Tensor,
} from "../../graph/index.ts";
import { embedding } from "../kinds/embedding.ts";
import { linear } from "../kinds/linear.ts";
import { factorsOf, isFilled, layerOf, startFactors } from "./plain.ts";
import type { AdaptedLayer, Variant, VariantStart } from "./variant.ts";

const magnitude = "lora_magnitude_vector";

const constantInGradients = (x: Tensor): Tensor => withGradient(x, [], [], () => []);

// ‖v‖² = ‖w‖² + 2s·w·(A·B)ᵀ + s²·Bᵀ(AᵀA)B of each row, without V: nothing is larger than (out, r).
const rowNorms = ({ target: { kind, scaling: s }, tensors, base }: AdaptedLayer): Tensor => {
  const [A, B] = [tensors(kind.A.name), tensors(kind.B.name)];
  const gram = matmul(A, A, { transposeA: true }); // (r, r)
  const cross = matmul(B, gram, { transposeA: true, alpha: s * s }, base.times(A, 2 * s)); // (out, r)
  return sqrt(add(base.squares(), sum(multiply(transpose(B, [1, 0]), cross), [1]))); // (out, 1)
};

/** m/‖V‖: (out, 1). */
const gainOf = (layer: AdaptedLayer): Tensor => {
  const norms = layer.base.kept("norm", () => constantInGradients(rowNorms(layer)));
  return divide(reshape(layer.tensors(magnitude), [-1, 1]), norms);
};

/** g∘u for g (1, out) and u (N, out). The gradient of g comes from the result, Σ dy∘y / g, so that u need not be kept. */
const stretched = (g: Tensor, u: Tensor): Tensor => {
  const y = multiply(g, u);
  return withGradient(y, [g, u], [y], (dy, [factor], [result]) => [divide(sum(multiply(dy, result), [0]), factor), multiply(dy, factor)]);
};

/** Norms of the rows of W + s·(A·B)ᵀ, in double precision. */
const startingNorms = async ({ target, values, weight }: VariantStart): Promise<Float32Array> => {
  const { kind, inFeatures, outFeatures, rank, scaling } = target;
  const [W, A, B] = [await weight(), values(kind.A.name), values(kind.B.name)];
  const isZero = !isFilled(A) || !isFilled(B);
  return Float32Array.from({ length: outFeatures }, (_, o) => {
    let total = 0;
    for (let i = 0; i < inFeatures; i++) {
      let value = W[o * inFeatures + i];
      if (!isZero) for (let k = 0; k < rank; k++) value += scaling * A[i * rank + k] * B[k * outFeatures + o];
      total += value * value;
    }
    return Math.sqrt(total);
  });
};

export const dora: Variant = {
  name: "DoRA",
  kinds: [linear, embedding],
  isMeant: ({ use_dora }) => use_dora,
  parameters: (target) => [...factorsOf(target), { name: magnitude, role: "vector", shape: [target.outFeatures] }],
  start: async (start) => {
    await startFactors(start);
    start.values(magnitude).set(await startingNorms(start));
  },
  // Whether the magnitudes differ from the norms of W is not to be seen without W.
  acts: () => true,
  forward: (layer, { output, product, reduce }) => {
    const { kind, scaling } = layer.target;
    const xW = product();
    const z = reduce(layer.tensors(kind.A.name), scaling); // (N, r)
    const adapted = stretched(reshape(gainOf(layer), [1, -1]), matmul(z, layer.tensors(kind.B.name), {}, xW)); // (N, out)
    // Where there is nothing else, the difference need not be made.
    return output === xW && layer.weight === 1 ? adapted : add(output, scale(subtract(adapted, xW), layer.weight));
  },
  // W + w·(g∘(W + ΔW) − W)
  change: (layer) => {
    const gain = gainOf(layer);
    return { gain: scale(subtract(gain, scalar(1)), layer.weight), update: multiply(gain, layerOf(layer).delta()) };
  },
};
