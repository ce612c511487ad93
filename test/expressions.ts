/** @file Random small programs for property tests: a list of steps over a pool of tensors, so that a failure shrinks to few steps. */
import * as fc from "fast-check";
import {
  add,
  after,
  broadcast,
  checkpoint,
  concat,
  constant,
  divide,
  erf,
  exp,
  gather,
  integers,
  input,
  log,
  matmul,
  max,
  multiply,
  negate,
  pad,
  pick,
  place,
  pullback,
  reciprocal,
  reshape,
  rmsNorm,
  scalar,
  scale,
  scatterAdd,
  sigmoid,
  silu,
  slice,
  softmax,
  sqrt,
  subtract,
  sum,
  tanh,
  total,
  transpose,
  where,
  withEagerGradient,
  gradients,
  type Tensor,
} from "../src/graph/index.ts";
import { f32 } from "../src/util/index.ts";
import type { Hosts } from "./evaluate.ts";
import { normal } from "./op-cases.ts";

interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
}

const square = [3, 3];
const matrix = (x: Tensor): Tensor => broadcast(x, square);
const mask = constant({ dtype: "bool", shape: square, data: Uint8Array.of(1, 0, 1, 1, 1, 0, 0, 1, 0) });
const places = integers([2, 0, 2]);

// All shapes stretch to (3, 3), all functions are smooth, and all values stay small enough for differences in float32.
const kinds: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
  (a) => tanh(a),
  (a) => sigmoid(a),
  (a) => silu(tanh(a)),
  (a) => erf(a),
  (a) => exp(tanh(a)),
  (a) => log(add(tanh(a), scalar(2))),
  (a) => sqrt(add(sigmoid(a), scalar(1))),
  (a) => reciprocal(add(tanh(a), scalar(2))),
  (a) => negate(a),
  (a) => softmax(matrix(a)),
  (a) => subtract(matrix(a), max(constant(normal(square)), [1])),
  (a, b) => add(a, b),
  (a, b) => subtract(a, b),
  (a, b) => multiply(tanh(a), b),
  (a, b) => divide(a, add(tanh(b), scalar(2))),
  (a, b) => add(tanh(matrix(a)), matmul(tanh(matrix(a)), matrix(tanh(b)))),
  (a, b) => matmul(matrix(tanh(a)), matrix(tanh(b)), { transposeA: true, alpha: 0.5 }),
  (a, b) => matmul(matrix(tanh(a)), matrix(tanh(b)), { transposeB: true }, tanh(b)),
  (a, b) => reshape(matmul(reshape(matrix(tanh(a)), [3, 1, 3]), reshape(matrix(tanh(b)), [3, 3, 1])), [3, 1]),
  (a) => sum(matrix(a), [0]),
  (a) => scale(sum(matrix(a), [1]), 0.5),
  (a) => total(tanh(a)),
  (a) => transpose(matrix(a), [1, 0]),
  (a, b) => concat([slice(matrix(a), 0, 1, 3), slice(matrix(b), 0, 0, 1)], 0),
  (a) => pad(slice(matrix(a), 1, 0, 2), 1, 1, 0),
  (a, b) => rmsNorm(matrix(a), reshape(slice(matrix(b), 0, 0, 1), [3]), 0.1),
  (a) => gather(matrix(a), places),
  (a) => scatterAdd(matrix(a), places, square),
  (a) => pick(matrix(a), places),
  (a, b) => place(matrix(a), places, slice(matrix(b), 1, 0, 1), square),
  (a, b) => where(mask, a, b),
  (a) => checkpoint(tanh(add(a, exp(tanh(a)))), [a]),
  (a, b) => checkpoint(add(matrix(a), matmul(matrix(tanh(a)), matrix(tanh(b)))), [a, b]),
  (a, b) => after(a, b),
  (a, b) => {
    const loss = total(multiply(tanh(a), sigmoid(b)));
    return a === b ? loss : withEagerGradient(loss, [a, b], gradients(loss, [a, b]));
  },
];

/** Lists of steps. */
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({ kind: fc.nat({ max: kinds.length - 1 }), a: fc.nat({ max: 15 }), b: fc.nat({ max: 15 }) }),
  { minLength: 1, maxLength: 12 },
);

export interface Expression {
  readonly y: Tensor;
  /** Gradients of Σ dy∘y by input, as `dm`, `dr`, `ds`. */
  readonly gradients: Readonly<Record<string, Tensor>>;
  readonly feeds: Hosts;
}

const feeds = { m: normal(square, 1), r: normal([3], 2), s: normal([], 3), dy: normal(square, 4) };

/** The program of a list of steps over inputs m (3, 3), r (3) and s (). */
export const expressionOf = (list: readonly Step[]): Expression => {
  const inputs = [input("m", square), input("r", [3]), input("s", [])];
  const pool = [...inputs];
  // Recent tensors are chosen more often, which makes deep programs.
  for (const { kind, a, b } of list)
    pool.push(kinds[kind](pool[pool.length - 1 - (a % pool.length)], pool[pool.length - 1 - (b % pool.length)]));
  const y = matrix(tanh(pool.slice(-3).reduce((sum, each) => add(sum, each))));
  const [dm, dr, ds] = pullback(y, input("dy", square), inputs);
  return { y, gradients: { dm, dr, ds }, feeds };
};

/** Unit directions in the space of an expression's inputs, by name. */
export const directions: readonly Hosts[] = [5, 6, 7].map((stream) => {
  const list = { m: normal(square, stream), r: normal([3], stream), s: normal([], stream) };
  const size = Math.hypot(...Object.values(list).flatMap(({ data }) => [...(data as Float32Array)]));
  return Object.fromEntries(
    Object.entries(list).map(([name, { data, shape }]) => [
      name,
      f32(
        (data as Float32Array).map((value) => value / size),
        shape,
      ),
    ]),
  );
});
