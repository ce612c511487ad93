/** @file How evenly routers share tokens among experts, as a loss. It knows nothing about layers or what the experts do. */
import {
  add,
  cast,
  divide,
  equal,
  integers,
  matmul,
  multiply,
  reshape,
  scale,
  softmax,
  sum,
  topK,
  total,
  type Tensor,
} from "../graph/index.ts";

/** A router's logits (N, E), and for each token whether it counts: 1 or 0, (N). */
export interface RoutedTokens {
  readonly logits: Tensor;
  readonly weights: Tensor;
}

/**
 * E·Σₑ fₑ·Pₑ [Fedus et al. 2022, eqs. 4–6], a scalar that is least, `perToken`, where every expert is used alike: fₑ is the share of tokens that
 * choose expert e, which has no gradient, and Pₑ its mean probability, both over the tokens of all routers together.
 */
export const loadBalance = (routers: readonly RoutedTokens[], perToken: number): Tensor => {
  const [, E] = routers[0].logits.shape;
  const experts = integers(
    Array.from({ length: E }, (_, index) => index),
    [1, 1, E],
  );
  const sums = routers.map(({ logits, weights }) => {
    const [N] = logits.shape;
    const p = softmax(logits); // (N, E)
    const chosen = cast(equal(reshape(topK(p, perToken), [N, perToken, 1]), experts), "f32"); // (N, k, E)
    const row = reshape(weights, [1, N]);
    return { chosen: matmul(row, reshape(sum(chosen, [1]), [N, E])), p: matmul(row, p), count: total(weights) }; // (1, E), (1, E), ()
  });
  const over = (key: "chosen" | "p" | "count"): Tensor => sums.map((each) => each[key]).reduce((whole, part) => add(whole, part));
  const count = over("count");
  return scale(divide(total(multiply(over("chosen"), over("p"))), multiply(count, count)), E);
};
