/** @file Layer normalisation. It knows nothing about where it is used. */
import { add, rmsNorm, scale, subtract, sum, type Tensor } from "../graph/index.ts";

/** gain ∘ (x − mean x)/√(var x + ε) + bias over the last axis [Ba et al. 2016]: the centred x, normalised by its root mean square. */
export const layerNorm = (x: Tensor, gain: Tensor, bias: Tensor, epsilon: number): Tensor => {
  const last = x.shape.length - 1;
  const mean = scale(sum(x, [last]), 1 / x.shape[last]);
  return add(rmsNorm(subtract(x, mean), gain, epsilon), bias);
};
