/** @file Every op there is, one record each; a name without a record, or a record without a rule, does not compile. */
import type { Op, OpName } from "../op.ts";
import { controlOps } from "./control.ts";
import { elementwiseOps } from "./elementwise.ts";
import { groupOps } from "./groups.ts";
import { indexOps } from "./index-select.ts";
import { int4Ops } from "./int4.ts";
import { leafOps } from "./leaf.ts";
import { matmulOps } from "./matmul.ts";
import { movementOps } from "./movement.ts";
import { nf4Ops } from "./nf4.ts";
import { normaliseOps } from "./normalise.ts";
import { quantisedOps } from "./quantised.ts";
import { quantisedPositiveOps } from "./quantised-positive.ts";
import { reduceOps } from "./reduce.ts";
import { rotaryOps } from "./rotary.ts";
import { sumSquaresOps } from "./sum-squares.ts";
import { topKOps } from "./top-k.ts";

// Each record has attributes of its own type, so the table holds them with that type erased.
export const ops = {
  ...leafOps,
  ...movementOps,
  ...reduceOps,
  ...sumSquaresOps,
  ...elementwiseOps,
  ...matmulOps,
  ...quantisedOps,
  ...quantisedPositiveOps,
  ...nf4Ops,
  ...int4Ops,
  ...normaliseOps,
  ...rotaryOps,
  ...indexOps,
  ...topKOps,
  ...groupOps,
  ...controlOps,
} satisfies { [Name in OpName]: Op<never> };

export { after, checkpoint, rematerialise, retained, withEagerGradient, withGradient } from "./control.ts";
export {
  add,
  and,
  cast,
  divide,
  equal,
  erf,
  exp,
  log,
  multiply,
  negate,
  reciprocal,
  relu,
  sigmoid,
  silu,
  sqrt,
  subtract,
  tanh,
  where,
} from "./elementwise.ts";
export { groupedMatmul, groupedOuter } from "./groups.ts";
export { gather, pick, place, scatterAdd } from "./index-select.ts";
export { int4Block, int4Matmul, int4NumberAt, int4Values, type Int4Weight } from "./int4.ts";
export { constant, input, inputOf, integers, scalar, weight, joinedWeight, weightOf, zeros } from "./leaf.ts";
export { accumulate, matmul, scale } from "./matmul.ts";
export { concat, concatAxisOf, pad, reshape, slice, spanOf, transpose } from "./movement.ts";
export { nf4Matmul, type Nf4Weight } from "./nf4.ts";
export { rmsNorm, softmax } from "./normalise.ts";
export { int8Matmul, type Int8Weight } from "./quantised.ts";
export { int8PositiveMatmul, type CentredInt8Matrix } from "./quantised-positive.ts";
export { broadcast, max, sum, sumTo, total } from "./reduce.ts";
export { rotary } from "./rotary.ts";
export { sumSquares } from "./sum-squares.ts";
export { argsort, topK } from "./top-k.ts";
