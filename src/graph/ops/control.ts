/** @file Ops about when and how rather than what: gradients given by hand, recomputation, and order of execution. */
import { LowrankError } from "../../util/index.ts";
import { pullback } from "../grad.ts";
import { needFloat32, node, sameShape, typeText, type Op, type Tensor } from "../op.ts";
import { topological } from "../walk.ts";
import { multiply } from "./elementwise.ts";
import { int64s } from "./movement.ts";

export interface GradientByHand {
  /** How many of the inputs after the value get a gradient; the rest are saved values. */
  readonly count: number;
  readonly rule: (dy: Tensor, sources: readonly Tensor[], saved: readonly Tensor[]) => readonly Tensor[];
}

const withGradientOp: Op<GradientByHand> = {
  name: "with-gradient",
  isView: true,
  operands: 1,
  infer: ([value]) => value,
  grad: ({ inputs: [, ...rest], attributes: { count, rule } }, dy) => {
    const contributions = rule(dy, rest.slice(0, count), rest.slice(count));
    if (contributions.length !== count)
      throw new LowrankError("graph-invalid", `with-gradient: the rule gives ${contributions.length} gradients for ${count} sources.`);
    return [undefined, ...contributions];
  },
  onnx: (_, [value]) => value,
  reference: ([value]) => value.data,
};

/**
 * `value`, whose gradient with respect to `sources` is given by `rule` instead of by the ops that made it.
 * `saved` are values of the forward pass that the rule uses; passing them here lets a recomputation replace them.
 */
export const withGradient = (value: Tensor, sources: readonly Tensor[], saved: readonly Tensor[], rule: GradientByHand["rule"]): Tensor =>
  node(withGradientOp, [value, ...sources, ...saved], { count: sources.length, rule });

/**
 * A scalar whose gradients are computed along with it, in the forward pass, so that what they are made of can be freed at once.
 * The gradients wait for the scalar, because the runtime would otherwise leave it for last and keep its inputs alive.
 */
export const withEagerGradient = (loss: Tensor, sources: readonly Tensor[], given: readonly Tensor[]): Tensor =>
  withGradient(
    loss,
    sources,
    given.map((gradient) => after(gradient, loss)),
    (dy, _, saved) => saved.map((gradient) => multiply(gradient, dy)),
  );

// What is retained waits for the token, where there is one: what is made from it would else be taken from the first time as well.
const rebuild = (value: Tensor, replacements: ReadonlyMap<Tensor, Tensor>, token?: Tensor): Tensor => {
  const copies = new Map(replacements);
  for (const tensor of topological([value], new Set(replacements.keys()))) {
    if (copies.has(tensor)) continue;
    if (tensor.op.isRetained === true) {
      if (token !== undefined) copies.set(tensor, after(tensor, token));
      continue;
    }
    if (!tensor.inputs.some((input) => copies.get(input) !== undefined && copies.get(input) !== input)) continue;
    const inputs = tensor.inputs.map((input) => copies.get(input) ?? input);
    // What is computed again here is kept while it is needed, not made a third time.
    copies.set(tensor, tensor.op.remake === undefined ? node(tensor.op, inputs, tensor.attributes) : inputs[0]);
  }
  return copies.get(value) ?? value;
};

const checkpointOp: Op<undefined> = {
  name: "checkpoint",
  isView: true,
  operands: 1,
  infer: ([value, ...sources]) => {
    needFloat32("checkpoint", value, ...sources);
    if (sources.length === 0)
      throw new LowrankError("graph-invalid", `checkpoint: ${typeText(value)} has no sources to be computed from again.`);
    return value;
  },
  // The segment is rebuilt from its sources, which wait for dy: so the recomputation runs next to its use, not early.
  grad: ({ inputs: [value, ...sources] }, dy) => {
    const again = sources.map((source, index) => (index === 0 ? after(source, dy) : source));
    const copy = rebuild(value, new Map(sources.map((source, index) => [source, again[index]])), dy);
    return [undefined, ...pullback(copy, dy, again)];
  },
  onnx: (_, [value]) => value,
  reference: ([value]) => value.data,
};

/**
 * `value`, made from `sources` by ops whose results are not kept for the backward pass but computed again [Chen et al. 2016].
 * `sources` are everything in the segment that needs a gradient; the first is the one that the recomputation waits with.
 */
export const checkpoint = (value: Tensor, sources: readonly Tensor[]): Tensor => node(checkpointOp, [value, ...sources], undefined);

const rematerialiseOp: Op<undefined> = {
  name: "rematerialise",
  isView: true,
  operands: 1,
  infer: ([value, source, waiting]) => {
    needFloat32("rematerialise", value, source, waiting);
    return value;
  },
  grad: (_, dy) => [dy],
  onnx: (_, [value]) => value,
  reference: ([value]) => value.data,
  remake: ({ inputs: [value, source, waiting] }, dy) =>
    rebuild(
      value,
      new Map([
        [source, source],
        [waiting, after(waiting, dy)],
      ]),
    ),
};

/**
 * `value`, which is freed after its use in the forward pass: gradients that need it get a copy, made again from `source` once the first of
 * them is computed. Unlike with `checkpoint`, the ops between the two are differentiated where they are. What waits for that gradient is
 * `waiting`, by default the source; a smaller tensor that the value is made from as well saves a copy of the source.
 */
export const rematerialise = (value: Tensor, source: Tensor, waiting: Tensor = source): Tensor =>
  node(rematerialiseOp, [value, source, waiting], undefined);

const retainedOp: Op<undefined> = {
  name: "retained",
  isView: true,
  isRetained: true,
  infer: ([value]) => {
    needFloat32("retained", value);
    return value;
  },
  grad: (_, dy) => [dy],
  onnx: (_, [value]) => value,
  reference: ([value]) => value.data,
};

/** `value`, which stays where a `checkpoint` around it computes everything else again: for values that are small and dear. */
export const retained = (value: Tensor): Tensor => node(retainedOp, [value], undefined);

const afterOp: Op<undefined> = {
  name: "after",
  infer: ([x, token]) => {
    needFloat32("after", x, token);
    return x;
  },
  grad: (_, dy) => [dy, undefined],
  // x + 0·token[0], with a zero that is fed at run time, so that no optimiser can take the dependency away.
  onnx: (lowering, [x, token], { shape, inputs: [, { shape: tokenShape }] }) => {
    const firstOf = (value: string): string => {
      const flat = lowering.view(value, [-1]);
      return lowering.emit("Slice", [flat, int64s(lowering, [0]), int64s(lowering, [1]), int64s(lowering, [0])]);
    };
    const first = sameShape(tokenShape, [1]) ? token : firstOf(token);
    const sum = lowering.emit("Add", [x, lowering.emit("Mul", [first, lowering.zero()])]);
    // A scalar plus [1] is [1].
    return shape.length === 0 ? lowering.view(sum, []) : sum;
  },
  reference: ([x]) => x.data,
};

/** x, not available before `token` has been computed. */
export const after = (x: Tensor, token: Tensor): Tensor => node(afterOp, [x, token], undefined);

export const controlOps = {
  "with-gradient": withGradientOp,
  checkpoint: checkpointOp,
  rematerialise: rematerialiseOp,
  retained: retainedOp,
  after: afterOp,
};
