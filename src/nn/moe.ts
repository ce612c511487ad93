/** @file A mixture of experts: every token goes through the few that its router chooses, none is dropped. It knows nothing about the layers around it. */
import {
  add,
  argsort,
  cast,
  constant,
  divide,
  equal,
  gather,
  integers,
  matmul,
  multiply,
  reshape,
  softmax,
  sum,
  topK,
  withGradient,
  type Tensor,
} from "../graph/index.ts";
import { f32 } from "../util/index.ts";
import type { Activation } from "./activation.ts";
import type { Modules } from "./modules.ts";
import { recomputed } from "./recompute.ts";

export interface Routing {
  /** Experts that a token goes through. */
  readonly perToken: number;
  /** Whether the probabilities of the chosen ones are divided by their sum. */
  readonly isNormalised: boolean;
}

/** Where the experts' projections are, by expert. */
export interface ExpertModules {
  readonly gate: readonly string[];
  readonly up: readonly string[];
  readonly down: readonly string[];
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

// Where each group begins and, last, where all end, from the group of each row: (M) int32 gives (E + 1) int64.
const boundsOf = (groups: Tensor, E: number): Tensor => {
  const isIn = equal(reshape(groups, [-1, 1]), integers(range(E), [1, E])); // (M, E)
  const counts = sum(cast(isIn, "f32"), [0]); // (1, E)
  const before = Float32Array.from({ length: E * (E + 1) }, (_, index) => Number(Math.floor(index / (E + 1)) < index % (E + 1)));
  return reshape(cast(matmul(counts, constant(f32(before, [E, E + 1]))), "i64"), [E + 1]);
};

// Rows in another order. The gradient comes back by the inverse order, which costs less than adding rows up.
const reorder = (x: Tensor, order: Tensor, inverse: Tensor): Tensor =>
  withGradient(gather(x, order), [x], [inverse], (dy, _, [back]) => [gather(dy, back)]);

/**
 * Σ over the chosen experts of g·E(x) with g = softmax(logits) at the `perToken` largest [Shazeer et al. 2017, eq. 1; Fedus et al. 2022, §2.1].
 * x (N, D), logits (N, E); `experts` maps rows (N·k, D), which lie expert by expert between the bounds (E + 1), to (N·k, D).
 */
export const routed = (
  x: Tensor,
  logits: Tensor,
  { perToken: k, isNormalised }: Routing,
  experts: (rows: Tensor, bounds: Tensor) => Tensor,
): Tensor => {
  const [N, E] = logits.shape;
  const [, D] = x.shape;
  const M = N * k;
  const p = softmax(logits); // (N, E)
  const chosen = topK(p, k); // (N, k)
  const rowStarts = integers(
    range(N).map((row) => row * E),
    [N, 1],
  );
  const selected = reshape(gather(reshape(p, [N * E]), add(chosen, rowStarts)), [N, k]);
  const g = isNormalised ? divide(selected, sum(selected, [1])) : selected; // (N, k)

  const groups = reshape(chosen, [M]);
  const order = argsort(groups); // (M): the assignments expert by expert
  const inverse = argsort(order);
  const tokens = gather(integers(range(M).map((assignment) => Math.floor(assignment / k))), order); // (M)
  const rows = withGradient(gather(x, tokens), [x], [inverse], (dy, _, [back]) => [
    reshape(sum(reshape(gather(dy, back), [N, k, D]), [1]), [N, D]),
  ]); // (M, D)
  const y = reshape(reorder(experts(rows, boundsOf(groups, E)), inverse, order), [N, k, D]);
  return reshape(sum(multiply(y, reshape(g, [N, k, 1])), [1]), [N, D]);
};

/** The gated block [Shazeer 2020] as an expert: down(activation(gate(x)) ∘ up(x)), for rows that lie expert by expert. */
export const gatedExperts =
  (modules: Modules, { gate, up, down }: ExpertModules, activation: Activation) =>
  (rows: Tensor, bounds: Tensor): Tensor => {
    const gates = modules.grouped(gate, rows, bounds); // (M, F)
    const ups = modules.grouped(up, rows, bounds);
    return recomputed(modules, [gates, ups], () => modules.grouped(down, multiply(activation(gates), ups), bounds), [bounds]);
  };
