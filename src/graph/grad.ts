/** @file Reverse-mode differentiation: asks each op's record for its gradient rule, and knows no op itself. */
import { LowrankError } from "../util/index.ts";
import { sameShape, shapeText, type Tensor } from "./op.ts";
import { scalar } from "./ops/leaf.ts";
import { add } from "./ops/elementwise.ts";
import { accumulate } from "./ops/matmul.ts";
import { broadcast } from "./ops/reduce.ts";
import { topological } from "./walk.ts";

/** Whether nothing but a sum would use this contribution: no other one is made from it, and the rule did not find it there. */
const isOwn = (contributions: readonly (Tensor | undefined)[], index: number, found: ReadonlySet<Tensor>): boolean => {
  const contribution = contributions[index]!;
  const others = contributions.filter((other, place): other is Tensor => other !== undefined && place !== index);
  return !found.has(contribution) && !topological(others, found).includes(contribution);
};

export interface GradientOptions {
  /** Whether values that cost little are made again when a gradient needs them, instead of kept until then; default they are. */
  readonly remakes?: boolean;
}

/**
 * Vector–Jacobian product: the gradients of Σ dy∘y with respect to `wrt`, which are held independent of each other.
 * What does not lead to `wrt`, and what lies behind it, is never visited.
 */
export const pullback = (y: Tensor, dy: Tensor, wrt: readonly Tensor[], { remakes = true }: GradientOptions = {}): Tensor[] => {
  const targets = new Set(wrt);
  const order = topological([y], targets);
  const leads = new Set<Tensor>();
  for (const tensor of order) if (targets.has(tensor) || tensor.inputs.some((input) => leads.has(input))) leads.add(tensor);

  const remade = new Map<Tensor, Tensor>();
  // What a gradient rule sees of an input: the value, or one copy for all users of a value that was not kept.
  const seen = (tensor: Tensor, gradient: Tensor): Tensor => {
    const copy = remade.get(tensor) ?? (remakes ? tensor.op.remake?.(tensor, gradient) : undefined);
    if (copy !== undefined) remade.set(tensor, copy);
    return copy ?? tensor;
  };

  const gradients = new Map<Tensor, Tensor>();
  if (leads.has(y)) gradients.set(y, dy);
  for (const tensor of order.toReversed()) {
    const gradient = gradients.get(tensor);
    if (gradient === undefined || targets.has(tensor)) continue;
    const inputs = tensor.inputs.map((input) => seen(input, gradient));
    const isRemade = inputs.some((input, index) => input !== tensor.inputs[index]);
    const contributions = tensor.op.grad(isRemade ? { ...tensor, inputs } : tensor, gradient);
    const found = new Set([tensor, gradient, ...tensor.inputs, ...inputs]);
    tensor.inputs.forEach((input, index) => {
      if (!leads.has(input)) return;
      const contribution = contributions[index];
      if (contribution === undefined) return;
      if (!sameShape(contribution.shape, input.shape))
        throw new LowrankError(
          "graph-invalid",
          `The gradient rule of ${tensor.op.name} gives ${shapeText(contribution.shape)} for input ${index} of shape ${shapeText(input.shape)}.`,
        );
      const sofar = gradients.get(input);
      if (sofar === undefined) gradients.set(input, contribution);
      else {
        // A product that is folded into a sum is computed there: if something else used it, it would be computed twice.
        const foldable = contribution.op.accumulate !== undefined && isOwn(contributions, index, found);
        gradients.set(input, foldable ? accumulate(sofar, contribution) : add(sofar, contribution));
      }
    });
  }
  return wrt.map((tensor) => gradients.get(tensor) ?? broadcast(scalar(0), tensor.shape));
};

/**
 * Gradients of a scalar with respect to tensors of the same graph.
 * @example const [dx] = gradients(total(multiply(x, x)), [x]); // 2x
 */
export const gradients = (loss: Tensor, wrt: readonly Tensor[], options: GradientOptions = {}): Tensor[] => {
  if (loss.shape.length !== 0)
    throw new LowrankError("graph-invalid", `Only a scalar can be differentiated, not ${shapeText(loss.shape)}.`);
  return pullback(loss, scalar(1), wrt, options);
};
