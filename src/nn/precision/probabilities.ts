/** @file Rows of probabilities times a weight in 8 bits: the largest few of a row exactly, the rest in steps small enough for it. It knows no losses. */
import {
  add,
  gather,
  int8PositiveMatmul,
  integers,
  matmul,
  relu,
  reshape,
  scalar,
  slice,
  subtract,
  sum,
  topK,
  type CentredInt8Matrix,
  type Tensor,
} from "../../graph/index.ts";

// More of them make the steps smaller and cost a row of W each.
const exact = 16;
// With steps of at least 1/255 of this, no sum of products of bytes leaves int32: their bytes sum to at most 255 / 4e-5 + V / 2.
const smallest = 4e-5;

/**
 * p·W for p (C, V), whose rows sum to 1, W (V, D) and the same in 8 bits; no gradient.
 * p·W = min(p, l)·W + Σⱼ max(pⱼ − l, 0)·W[j], with l the largest probability but for a few and j over these few.
 */
export const probabilitiesTimes = (p: Tensor, W: Tensor, rounded: CentredInt8Matrix): Tensor => {
  const [C, V] = p.shape;
  const D = W.shape[1];
  const few = Math.min(exact, V - 1);
  const places = topK(p, few + 1); // (C, k + 1)
  const starts = integers(
    Array.from({ length: C }, (_, row) => row * V),
    [C, 1],
  );
  const values = gather(reshape(p, [C * V]), add(places, starts)); // (C, k + 1)
  const limit = add(relu(subtract(slice(values, 1, few, few + 1), scalar(smallest))), scalar(smallest)); // (C, 1)
  const above = relu(subtract(slice(values, 1, 0, few), limit)); // (C, k)
  const rows = gather(W, slice(places, 1, 0, few)); // (C, k, D)
  const exactly = reshape(matmul(reshape(above, [C, 1, few]), rows), [C, D]);
  const sums = subtract(scalar(1), sum(above, [1])); // (C, 1)
  return add(exactly, int8PositiveMatmul(p, { sizes: reshape(limit, [C]), sums: reshape(sums, [C]) }, rounded));
};
